"""The gallery's key as a credential of systemd: a sealed door serves, a broken key ends locked."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from door import UNIT, Door, serving
from machine import Machine

pytestmark = pytest.mark.system

CREDENTIAL, STATE = "/etc/facelatch/seal.cred", "/var/lib/facelatch"
SEAL = "/usr/local/sbin/facelatch-seal"


CLEAR_TPM = """
port = open("/dev/tpm0", "r+b", 0)
port.write(bytes.fromhex("8002 0000001b 00000126 4000000a 00000009 40000009 0000 00 0000"))
print(port.read(4096)[6:10].hex())
"""
"""TPM2_Clear, by the empty password it has: from then on it is another TPM to whatever it has sealed."""


@pytest.fixture(scope="module")
def sealed(boot: Callable[..., Machine]) -> Door:
    """A door with robin in a plain gallery, for which a key was made afterwards, as without the TPM that it has."""
    door = serving(boot(tpm=True), "high")
    assert door.sh(f"grep -qa IHDR {STATE}/gallery.db* && echo plain") == "plain"
    door.run("env", "FACELATCH_SEAL_WITH=host", SEAL, "make", seconds=60)
    door.run("systemctl", "restart", UNIT, seconds=120)
    return door


def told(door: Door) -> str:
    return door.run("runuser", "-u", "facelatch", "--", "facelatch", "seal", "status", seconds=60)


def test_a_sealed_door_lets_in_and_nothing_on_its_disk_is_in_clear(sealed: Door):
    assert told(sealed).startswith("sealed, key 1, kept by host key: ")
    assert sealed.sh(f"grep -rlaiE 'IHDR|robin' {STATE} || echo nothing") == "nothing"
    sealed.let_in()
    about = sealed.events("visit.granted")[-1]
    assert about["PERSON"] == f"person {about['PERSON_ID']}", "names are no more in clear in the journal"


def test_a_receipt_for_somebody_forgotten_takes_another_key_which_the_tpm_keeps(sealed: Door):
    receipt = "/srv/receipt.json"
    with sealed.machine.measured("forgetting with another key to READY again"):
        sealed.run("facelatch", "people", "forget", "guest", "--yes", "--receipt", receipt, seconds=180)
    assert json.loads(sealed.run("cat", receipt))["key"] == {"before": 1, "now": 2}
    assert sealed.ready()
    assert told(sealed).startswith("sealed, key 2, kept by host key and TPM: ")
    assert sealed.sh("ls /etc/facelatch /run | grep -E 'next|new|old|facelatch-seal' || echo nothing") == "nothing"
    sealed.let_in()


def test_a_key_that_cannot_be_decrypted_ends_locked_and_is_not_tried_again(sealed: Door):
    """Exit code 243, before anything of the daemon runs; what runs after every end runs after this one, too."""
    sealed.let_in()
    sealed.sh(f"cp -a {CREDENTIAL} /srv/kept && echo AAAA >{CREDENTIAL}")
    sealed.run("systemctl", "restart", UNIT, check=False, seconds=120)
    sealed.until(lambda: sealed.unit("ActiveState") == "failed", 60, "given up")
    assert sealed.line() == sealed.locked
    assert sealed.unit("ExecMainStatus") == "243"
    assert sealed.unit("NRestarts") == "0"
    sealed.sh(f"cp -a /srv/kept {CREDENTIAL}")
    sealed.run("systemctl", "reset-failed", UNIT)
    sealed.start()


def test_without_its_key_the_gallery_stays_as_it_is_and_the_door_locked(sealed: Door):
    """Somebody takes the drop-in away: exit code 7, and no new gallery."""
    drop_in = f"/etc/systemd/system/{UNIT}.d/seal.conf"
    before = len(sealed.faults())
    sealed.sh(f"mv {drop_in} /srv/ && systemctl daemon-reload")
    sealed.run("systemctl", "restart", UNIT, check=False, seconds=120)
    sealed.until(lambda: "start_gallery" in sealed.faults()[before:], 60, "a fault of the gallery")
    assert sealed.line() == sealed.locked
    sealed.sh(f"systemctl stop {UNIT}; mv /srv/seal.conf {drop_in}; systemctl daemon-reload; systemctl reset-failed")
    sealed.start()
    sealed.let_in()


def test_another_tpm_decrypts_no_key_and_the_door_stays_locked(sealed: Door):
    """The card in another device, last as there is no way back: exit code 243, and what runs after every end runs."""
    assert sealed.run("python3", "-c", CLEAR_TPM) == "00000000"
    sealed.run("systemctl", "restart", UNIT, check=False, seconds=120)
    sealed.until(lambda: sealed.unit("ActiveState") == "failed", 60, "given up")
    assert sealed.line() == sealed.locked
    assert sealed.unit("ExecMainStatus") == "243"
    assert sealed.unit("NRestarts") == "0"
    assert "code=exited ; status=0" in sealed.unit("ExecStopPost"), "relock has run to its end"
    assert int(sealed.run("stat", "-c", "%s", f"{STATE}/gallery.db")) > 0, "nothing is deleted"
    assert sealed.run(SEAL, "run", "people", "list", check=False) == "", "nor does any command have the key"
    sealed.assert_unlocked_only_when_granted()
