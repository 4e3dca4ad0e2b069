"""A virtual machine that boots the image of build.sh, and the door in it."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from patient import PATIENCE, Patient

KERNEL_LINE = (
    "console=ttyS0 root=/dev/vda rw quiet mitigations=off nowatchdog tsc=reliable random.trust_cpu=on"
    " systemd.show_status=0 trace_event=gpio:gpio_value,gpio:gpio_direction trace_clock=mono trace_buf_size=8M"
)
"""Every write to a GPIO line is traced by the kernel, from its first moment on."""

PROCESSOR = ("-accel", "tcg,thread=single", "-icount", "shift=0", "-smp", "1")
"""Emulated, and its clock counts its own instructions, one a nanosecond: a busy host makes it late, but not slow."""


def new_disk(path: Path, backing: Path) -> Path:
    """A disk that starts as `backing` is and keeps what is written to it."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, path]
    subprocess.run(command, check=True)
    return path


def new_ext4(path: Path, size: str) -> Path:
    """An empty disk with a file system."""
    subprocess.run(["mkfs.ext4", "-qF", path, size], check=True)
    return path


def start_qemu(image: Path, root: str, work: Path, words: str, devices: list[str]) -> subprocess.Popen[bytes]:
    """Starts a machine with the drive `root` and `words` for its kernel; it ends when this process does."""
    command = [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-M", "pc,usb=off", *PROCESSOR, "-cpu", "max,la57=off"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-net", "none", "-serial", f"file:{work}/console"),
        *("-kernel", image / "vmlinuz", "-initrd", image / "initrd.img", "-append", f"{KERNEL_LINE} {words}"),
        *("-drive", f"{root},if=virtio,cache=writeback", "-device", "virtio-rng-pci", *devices),
    ]
    with (work / "qemu.log").open("w") as log:
        return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stderr=log)


def start_tpm(work: Path) -> list[str]:
    """Starts a TPM of a machine's own, which ends with it; QEMU's words for it."""
    state, port = work / "tpm", work / "tpm.socket"
    state.mkdir()
    command = ["setpriv", "--pdeathsig", "KILL", "swtpm", "socket", "--tpm2", "--terminate"]
    command += ["--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={port}"]
    with (work / "tpm.log").open("w") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    Patient().until(port.exists, 10, "the TPM is there")
    found = ["-chardev", f"socket,id=tpm,path={port}", "-tpmdev", "emulator,id=tpm,chardev=tpm"]
    return [*found, "-device", "tpm-tis,tpmdev=tpm"]


class Machine(Patient):
    """A virtual machine; `run` runs a command in it. QEMU emulates the processor, so it needs nothing of the host."""

    def __init__(self, image: Path, disk: Path, clips: Path, work: Path, *, tpm: bool = False) -> None:
        work.mkdir(exist_ok=True, parents=True)
        self.work, self.boot_id, self.status, self.output = work, "", 0, ""
        self._numbers = itertools.count()
        self._received = b""
        (work / "agent").unlink(missing_ok=True)
        devices = [
            *("-m", "1024", "-drive", f"file={clips},if=virtio,format=raw,readonly=on"),
            *("-drive", f"file={new_ext4(work / 'state.img', '64M')},if=virtio,format=raw"),
            *("-device", "i6300esb", "-action", "watchdog=reset", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={work}/agent,server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=agent"),
            *("-chardev", f"file,id=trace,path={work}/trace", "-device", "virtserialport,chardev=trace,name=trace"),
            *("-monitor", f"unix:{work}/monitor,server=on,wait=off"),
            *(start_tpm(work) if tpm else ()),
        ]
        self._qemu = start_qemu(image, f"file={disk},format=qcow2", work, "", devices)
        try:
            self._port = self.until(self._connected, 10, "QEMU has started")
            self.await_boot()
        except BaseException:
            self.cut_power()
            raise

    def _connected(self) -> socket.socket | None:
        if self._qemu.poll() is not None:
            raise RuntimeError(f"QEMU ended: {(self.work / 'qemu.log').read_text()}")
        port = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            port.connect(str(self.work / "agent"))
            return port
        port.close()
        return None

    def await_boot(self) -> None:
        """Waits until the agent in it says hello again.

        Longest after a crash: the seconds of the watchdog are the machine's own, which pass slowly on a busy host.
        """
        last, deadline = self.boot_id, time.monotonic() + 150 * PATIENCE
        while self.boot_id == last:
            self.boot_id = self._answer(deadline).get("booted", last)

    def _answer(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            self._port.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                more = self._port.recv(1 << 20)
            except TimeoutError:
                raise AssertionError(f"no answer from the machine; its console: {self.console()[-2000:]}") from None
            assert more, f"the machine is gone; its console: {self.console()[-2000:]}"
            self._received += more
        line, self._received = self._received.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def restart(self, *command: str) -> None:
        """Runs `command`, which restarts the machine before anybody can say how it ended; returns when it is back."""
        self._ask(command, "", 30)
        self.await_boot()

    def _ask(self, command: tuple[str, ...], stdin: str, seconds: float) -> int:
        number = next(self._numbers)
        request = {"id": number, "command": command, "stdin": stdin, "seconds": seconds * PATIENCE}
        self._port.sendall(json.dumps(request).encode() + b"\n")
        return number

    def run(self, *command: str, check: bool = True, stdin: str = "", seconds: float = 30) -> str:
        """Standard output of `command` in it, stripped; fails the test when it fails."""
        number = self._ask(command, stdin, seconds)
        answer, deadline = {"id": None}, time.monotonic() + (seconds + 10) * PATIENCE
        while answer.get("id") != number:
            answer = self._answer(deadline)
            if booted := answer.get("booted"):
                self.boot_id = booted
                raise AssertionError("the machine was restarted while it ran a command")
        self.status = answer["status"]
        self.output = answer["output"] + answer["errors"]
        if check:
            assert self.status == 0, f"{' '.join(command)}: exit code {self.status}\n{self.output}"
        return str(answer["output"]).strip()

    def sh(self, script: str, check: bool = True, seconds: float = 30) -> str:
        """The same for a line of shell."""
        return self.run("sh", "-c", script, check=check, seconds=seconds)

    def console(self) -> str:
        """What the kernel printed."""
        return (self.work / "console").read_text(errors="replace")

    def stop_time(self) -> None:
        """It stands still, its clocks too, and costs nothing, until `go_on`."""
        self._monitor("stop")

    def go_on(self) -> None:
        """Its clocks have not noticed."""
        self._monitor("cont")

    def _monitor(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as port:
            port.settimeout(10 * PATIENCE)
            port.connect(str(self.work / "monitor"))
            for line in (b"", command.encode() + b"\n"):
                port.sendall(line)
                answer = b""
                while not answer.endswith(b"(qemu) "):
                    more = port.recv(4096)
                    assert more, "QEMU's monitor is gone"
                    answer += more

    def reset(self) -> None:
        """The power goes and comes back: what it had not written to its disk is lost. Returns when it has booted."""
        self._monitor("system_reset")
        self.await_boot()

    def cut_power(self) -> None:
        """QEMU is killed: whatever the machine had not yet written is lost."""
        self._qemu.kill()
        self._qemu.wait()
