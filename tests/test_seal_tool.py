"""deploy/seal.sh, with stand-ins for systemd: what the virtual machine does for real, and slowly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]




class SealTool:
    """deploy/seal.sh in a folder of its own, with stand-ins for systemd; `calls` is what it asked of them."""

    def __init__(self, home: Path) -> None:
        self.home, self.script, self.log = home, home / "facelatch-seal", home / "log"
        text = (REPO / "deploy" / "seal.sh").read_text(encoding="utf-8")
        for place in ("/etc/", "/run ", "/dev/tpmrm0", "/opt/facelatch/bin/"):
            text = text.replace(place, f"{home}{place}")
        self.script.write_text(text, encoding="utf-8")
        for folder in ("etc/facelatch", "etc/systemd/system/facelatch.service.d", "run", "dev", "bin"):
            (home / folder).mkdir(parents=True)
        self.stand_in("id", "echo 0")
        self.stand_in("chown", ":")
        # Writes the way it was asked for, and then the key; a TPM that cannot be used is a file `broken`.
        self.stand_in(
            "systemd-creds",
            f'case $2 in *tpm2) [ ! -e {home}/broken ] || exit 1;; esac; [ "$3" = /dev/null ] && exit 0\n'
            f'shift; {{ echo "${{1#*=}} ${{2#*=}}"; cat "$3"; }} >"$4"',
        )
        self.stand_in("systemctl", f'echo "systemctl $*" >>{self.log}')
        self.stand_in("systemd-run", f'echo "${{*##*facelatch.toml}}" >>{self.log}; [ ! -e {home}/fails ]')

    def stand_in(self, name: str, script: str) -> None:
        file = self.home / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.home}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            ["sh", self.script, *words], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    @property
    def credential(self) -> bytes:
        return (self.home / "etc" / "facelatch" / "seal.cred").read_bytes()

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in (self.home / "etc" / "facelatch").iterdir())


@pytest.fixture
def seal_tool(tmp_path: Path) -> SealTool:
    return SealTool(tmp_path)


@pytest.mark.parametrize(
    ("tpm", "broken", "kept"), [(False, False, b"host "), (True, False, b"host+tpm2 "), (True, True, b"host ")]
)
def test_the_key_is_kept_by_a_tpm_that_is_there_and_can_be_used(
    seal_tool: SealTool, tpm: bool, broken: bool, kept: bytes
):
    """Also where the firmware is no UEFI, where systemd itself takes none."""
    for there, name in ((tpm, "dev/tpmrm0"), (broken, "broken")):
        if there:
            (seal_tool.home / name).touch()
    made = seal_tool.run("make")
    assert made.returncode == 0, made.stderr
    assert seal_tool.credential.startswith(kept + b"facelatch-seal\n")
    assert ("cannot be used" in made.stderr) is broken


def test_another_key_can_come_with_another_command_and_stays_the_old_one_where_that_fails(seal_tool: SealTool):
    """As `people forget --receipt` does; nothing but its answer is on standard output."""
    seal_tool.run("make")
    before = seal_tool.credential
    (seal_tool.home / "fails").touch()
    assert seal_tool.run("rotate", "people", "forget", "--yes", "--", "Anna B").returncode == 1
    assert seal_tool.credential == before
    (seal_tool.home / "fails").unlink()
    done = seal_tool.run("rotate", "people", "forget", "--yes", "--", "Anna B")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert seal_tool.credential != before
    assert seal_tool.left == ["seal.cred"], "the old key is nowhere, nor is the next one"
    told = seal_tool.log.read_text(encoding="utf-8")
    assert " people forget --yes -- Anna B\n" in told
    assert "seal rotate" not in told
    assert seal_tool.run("rotate").returncode == 0
    assert " seal rotate\n" in seal_tool.log.read_text(encoding="utf-8")
