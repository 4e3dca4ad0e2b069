"""`facelatch fleet`: what each machine gets, and what a door that was taken out can do no more."""

from __future__ import annotations

import json
import ssl
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from facelatch.adapters.system.membership import membership
from facelatch.cli.fleet import fleet
from facelatch.cli.settings import Settings
from facelatch.config.fleet import FleetConfig
from facelatch.errors import ConfigError, FacelatchError, InputError
from facelatch.fleet.settings import Settings as BridgeSettings
from facelatch.sharing import authority
from facelatch.sharing.envelope import EnvelopeError, close, open_
from facelatch.sharing.membership import Membership, loads


def run(*words: str) -> str:
    result = CliRunner().invoke(fleet, list(words), obj=Settings(None, as_json=False))
    if isinstance(result.exception, FacelatchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet of one door that enrols, one that follows, Home Assistant, and the collector of the log."""
    place = tmp_path / "fleet"
    run("init", str(place), "--broker", "hub.local", "--broker", "192.0.2.7")
    run("join", "front", "--enroller", "--fleet", str(place))
    run("join", "garage", "--fleet", str(place))
    run("join", "home", "--reader", "--fleet", str(place))
    run("join", "hub", "--collector", "--fleet", str(place))
    return place


def told(folder: Path, door: str) -> Membership:
    return loads((folder / "doors" / door / "daemon" / "membership.json").read_bytes())


def test_each_door_gets_what_is_its_own_and_a_follower_no_key_to_sign_with(folder: Path) -> None:
    front, garage = told(folder, "front"), told(folder, "garage")
    assert (front.enrols, garage.enrols) == (True, False)
    assert (front.keys, front.pepper, front.enrollers) == (garage.keys, garage.pepper, garage.enrollers)
    assert garage.signing_key is None
    assert open_(garage, close(front, "a" * 32, 1, None)).header.signer == "front"


@pytest.mark.parametrize("name", ["home", "hub"])
def test_who_is_no_door_gets_a_certificate_and_nothing_that_opens_an_envelope(folder: Path, name: str) -> None:
    files = {path.name for path in (folder / "doors" / name).rglob("*") if path.is_file()}
    assert files == {"ca.crt", "door.crt", "door.key"}
    known = authority.loads((folder / "authority.json").read_bytes())
    assert known.members[name].signing_key is None
    with pytest.raises(ValueError, match="no door"):
        authority.membership(known, name)


def test_nobody_else_may_read_any_of_it(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_bridge_gets_no_key_of_the_people(folder: Path) -> None:
    files = {path.name for path in (folder / "doors" / "front" / "bridge").iterdir()}
    assert files == {"ca.crt", "door.crt", "door.key"}


def test_a_certificate_is_for_its_door_and_the_broker_is_known_by_its_names(folder: Path) -> None:
    broker, door = (
        ssl._ssl._test_decode_cert(str(folder / name))  # type: ignore[attr-defined]
        for name in ("broker/broker.crt", "doors/front/bridge/door.crt")
    )
    assert broker["subjectAltName"] == (("DNS", "hub.local"), ("IP Address", "192.0.2.7"))
    assert door["subject"] == ((("commonName", "front"),),)


def test_a_door_that_was_taken_out_signs_and_reads_nothing_new(folder: Path) -> None:
    before, certificate = told(folder, "front"), folder / "broker" / "crl.pem"
    empty = certificate.read_text()
    run("join", "back", "--enroller", "--fleet", str(folder))
    run("revoke-door", "front", "--yes", "--fleet", str(folder))
    back, garage = told(folder, "back"), told(folder, "garage")
    with pytest.raises(EnvelopeError, match="unknown_signer"):
        open_(garage, close(before, "a" * 32, 1, None))
    with pytest.raises(EnvelopeError, match="unknown_key"):
        open_(Membership(**{**_fields(before), "enrollers": back.enrollers}), close(back, "a" * 32, 1, b"x"))
    assert certificate.read_text() != empty
    assert not (folder / "doors" / "front").exists()
    assert "user front" not in (folder / "broker" / "acl").read_text()
    assert "front" not in run("doors", "--fleet", str(folder)).replace("front-", "")


def _fields(one: Membership) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}


ACCESS_LIST = """\
# Written by `facelatch fleet`. A user is the common name of a client's certificate.
pattern readwrite facelatch/%u/#
pattern read facelatch/fleet/#
pattern write homeassistant/device/facelatch_%u/config
pattern read homeassistant/status

user front
topic write facelatch/fleet/people/+

user home
topic read homeassistant/#
topic write homeassistant/status
topic read facelatch/+/state
topic read facelatch/+/event
topic read facelatch/+/availability
topic read facelatch/+/people
topic read facelatch/+/receipts/+

user hub
topic read facelatch/+/log
topic write facelatch/+/log/ack
topic write facelatch/fleet/collector
"""


def test_at_the_broker_only_who_enrols_writes_people_and_only_the_collector_reads_logs(folder: Path) -> None:
    assert (folder / "broker" / "acl").read_text() == ACCESS_LIST


def test_nobody_ends_another_s_connection_by_taking_the_name_it_goes_by(folder: Path) -> None:
    """A broker ends the connection of the same client id: a stolen certificate would silence all others."""
    lines = (folder / "broker" / "facelatch.conf").read_text().splitlines()
    assert {"use_identity_as_username true", "use_username_as_clientid true"} <= set(lines)


def test_a_folder_that_is_no_fleet_is_told_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        run("join", "front", "--fleet", str(tmp_path / "nowhere"))
    assert "fleet init" in caught.value.hint


def test_the_access_list_in_the_guide_is_the_one_that_is_written() -> None:
    guide = (Path(__file__).parents[2] / "deploy" / "several-doors.md").read_text(encoding="utf-8")
    shown = guide.split("## Who may read what")[1].split("```")[1]
    collected = authority.joined(authority.founded(()), "collector", "collector")
    written = authority.access_list(authority.joined(collected, "homeassistant", "reader"))
    assert shown.strip() == written.partition("\n")[2].strip()


@pytest.mark.parametrize(
    "parts", [("--enroller", "--reader"), ("--reader", "--collector"), ("--collector", "--enroller")]
)
def test_nobody_joins_as_two_things(folder: Path, parts: tuple[str, str]) -> None:
    words = ["join", "new", *parts, "--fleet", str(folder)]
    result = CliRunner().invoke(fleet, words, obj=Settings(None, as_json=False))
    assert result.exit_code == 2
    assert "exclude one another" in result.output


@pytest.mark.parametrize("name", ["fleet", "Front", "a/b", "+", "#", "", "a" * 33, "front\n"])
def test_a_name_that_would_reach_into_the_topics_of_others_is_none(folder: Path, name: str) -> None:
    """A door called fleet could write everybody's people."""
    with pytest.raises(InputError, match="no name"):
        authority.joined(authority.founded(()), name, "follow")


def test_joining_twice_changes_nothing_and_not_into_something_else(folder: Path) -> None:
    before = told(folder, "garage")
    run("join", "garage", "--fleet", str(folder))
    assert told(folder, "garage") == before
    with pytest.raises(InputError, match="already"):
        run("join", "garage", "--enroller", "--fleet", str(folder))
    with pytest.raises(InputError, match="no 'nobody'"):
        run("revoke-door", "nobody", "--yes", "--fleet", str(folder))
    with pytest.raises(InputError, match="not empty"):
        run("init", str(folder))


def test_rotating_keeps_some_old_keys_so_that_nobody_is_lost_meanwhile(folder: Path) -> None:
    for _ in range(6):
        run("rotate", "--fleet", str(folder))
    assert list(told(folder, "garage").keys) == [4, 5, 6, 7]
    assert json.loads((folder / "authority.json").read_text())["keys"].keys() == {"4", "5", "6", "7"}


@given(st.binary(max_size=80))
def test_a_file_that_is_no_authority_is_a_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match="not what"):
        authority.loads(data)


def test_a_collector_beside_a_door_shows_its_own_certificate_not_the_bridge_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paho.mqtt.client")
    (tmp_path / "door.toml").write_text(
        '[fleet]\ndoor = "front"\nbroker = "hub.local"\n'
        'ca = "bridge.ca"\ncertificate = "bridge.crt"\nkey = "bridge.key"\n'
    )
    told: list[BridgeSettings] = []
    monkeypatch.setattr("facelatch.fleet.subscriber.serve", lambda settings, *_: told.append(settings))
    for own in ([], ["--ca", "own.ca", "--certificate", "own.crt", "--key", "own.key"]):
        words = ["collect", "--file", str(tmp_path / "collected.sqlite"), *own]
        result = CliRunner().invoke(fleet, words, obj=Settings(tmp_path / "door.toml", as_json=False))
        assert result.exit_code == 0, result.output
    assert [(one.ca, one.certificate, one.key) for one in told] == [
        ("bridge.ca", "bridge.crt", "bridge.key"),
        ("own.ca", "own.crt", "own.key"),
    ]


# What the daemon reads


def config(folder: Path, door: str, **fields: object) -> FleetConfig:
    path = folder / "doors" / door / "daemon" / "membership.json"
    return FleetConfig.model_validate({"door": door, "membership": str(path), **fields})


def test_the_daemon_takes_its_own_membership_only(folder: Path) -> None:
    assert membership(FleetConfig()) is None
    front = membership(config(folder, "front", people="enroller"))
    assert front is not None
    assert front.enrols
    follower = membership(config(folder, "front", people="follow"))
    assert follower is not None
    assert not follower.enrols
    for fault, made in {
        "may not enrol": config(folder, "garage", people="enroller"),
        "of door 'front'": config(folder, "front", people="follow").model_copy(update={"door": "garage"}),
        "No such file": config(folder, "nobody", people="follow"),
    }.items():
        with pytest.raises(ConfigError, match=fault):
            membership(made)


def test_a_membership_that_others_may_read_is_none(folder: Path) -> None:
    one = config(folder, "garage", people="follow")
    Path(one.membership).chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        membership(one)


def test_a_credential_of_systemd_goes_before_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = config(folder, "garage", people="follow")
    (tmp_path / "facelatch-fleet").write_bytes(Path(one.membership).read_bytes())
    (tmp_path / "facelatch-fleet").chmod(0o400)
    Path(one.membership).unlink()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert membership(one) == told_from(tmp_path / "facelatch-fleet")


def told_from(path: Path) -> Membership:
    return loads(path.read_bytes())
