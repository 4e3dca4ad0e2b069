"""Several doors on one desk: toy doors, real bridges, a real Mosquitto, a real collector. For tests and reports."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    """Of this machine; nobody listens there now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


class SeveralDoors:
    """Starts them in `folder`; `close` ends them."""

    def __init__(self, folder: Path, doors: int, access_list: str = "") -> None:
        """With an `access_list` of Mosquitto everybody has a certificate, and talks TLS."""
        self.folder, self.port, self.secure = folder, free_port(), bool(access_list)
        self.names = [f"door-{number:03d}" for number in range(doors)]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.collected = folder / "collected.sqlite"
        (folder / "mosquitto.conf").write_text(f"""listener {self.port} 127.0.0.1
set_tcp_nodelay true
allow_anonymous {"false" if self.secure else "true"}
""")
        if self.secure:
            self.make_certificates([*self.names, "broker", "collector", "homeassistant"])
            (folder / "access").write_text(access_list)
            with (folder / "mosquitto.conf").open("a") as file:
                file.write(f"""user root
acl_file {folder}/access
cafile {folder}/ca.crt
certfile {folder}/broker.crt
keyfile {folder}/broker.key
require_certificate true
use_identity_as_username true
""")
        for name in self.names:
            self.write_config(name, f"""[control]
socket = "{folder}/{name}/control.sock"
""")
        self.write_config("collector", "")

    def make_certificates(self, names: list[str]) -> None:
        """An authority, and what it vouches for: names, and the address of this machine."""

        def openssl(*words: str) -> None:
            subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority", "-days", "2")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        for name in names:
            openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
            openssl("x509", "-req", "-in", f"{name}.csr", *by, "-out", f"{name}.crt")

    def write_config(self, name: str, more: str) -> None:
        secure = "".join(
            f'{key} = "{self.folder}/{file}"\n'
            for key, file in (("ca", "ca.crt"), ("certificate", f"{name}.crt"), ("key", f"{name}.key"))
            if self.secure
        )
        (self.folder / f"{name}.toml").write_text(f"""{more}
[fleet]
door = "{name}"
broker = "127.0.0.1"
port = {self.port}
log = true
{secure}""")

    def start(self, name: str, command: list[str], *, piped: bool = False) -> None:
        """Process `name`, which must not run; what it prints is added to NAME.log."""
        pipe = subprocess.PIPE if piped else None
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=REPO, stdin=pipe, stdout=pipe or log, stderr=log, bufsize=0,
                env={**os.environ, "PYTHONPATH": str(REPO / "daemon")},
            )  # fmt: skip

    def start_again(self, name: str) -> None:
        """Whatever is called so."""
        facelatch = [sys.executable, "-m", "facelatch", "--config", str(self.folder / f"{name}.toml")]
        if name == "broker":
            self.start(name, [str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf")])
        elif name == "doors":
            program = REPO / "tests" / "scenarios" / "toy_doors.py"
            self.start(name, [sys.executable, str(program), str(self.folder), *self.names], piped=True)
            assert self.answer() == "ready"
        elif name == "collector":
            self.start(name, [*facelatch, "fleet", "collect", "--file", str(self.collected), "--days", "0"])
        else:
            self.start(name, [*facelatch, "bridge", "--state", str(self.folder / name / "bridge")])

    def start_all(self) -> None:
        for name in ("broker", "doors", "collector", *self.names):
            self.start_again(name)

    def kill(self, name: str) -> None:
        """kill -9."""
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def tell(self, line: str) -> None:
        """To the doors; lost where they are dead."""
        stdin = self.running["doors"].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{line}\n".encode())

    def answer(self) -> str:
        stdout = self.running["doors"].stdout
        assert stdout is not None
        return stdout.readline().decode().strip()

    def last_rows(self) -> dict[str, int]:
        """The number of the last row at each door, when everything so far is written."""
        found = {}
        for name in self.names:
            self.tell(f"sync {name}")
            found[name] = int(self.answer())
        return found

    def kill_at_random(self, seconds: float, chance: random.Random, *, every: float, visits: float) -> dict[str, int]:
        """Kills and starts again while people come, so many `visits` a second; returns how often each was killed."""
        killed = dict.fromkeys(("broker", "doors", "collector", "a bridge"), 0)
        end, next_kill, number = time.monotonic() + seconds, time.monotonic() + every, 0
        while time.monotonic() < end:
            number += 1
            self.tell(f"visit {chance.choice(self.names)} {number % 500 + 1}")
            time.sleep(1 / visits)
            if time.monotonic() >= next_kill:
                what = chance.choice([*killed])
                killed[what] += 1
                name = chance.choice(self.names) if what == "a bridge" else what
                self.kill(name)
                time.sleep(chance.uniform(0, 0.5))
                self.start_again(name)
                next_kill = time.monotonic() + every * chance.uniform(0.5, 1.5)
        return killed

    def close(self) -> None:
        """Ends them all."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Waits; returns the seconds it took. Raises AssertionError."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - begin
