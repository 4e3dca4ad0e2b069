"""Which camera it is, as far as the system knows: name and serial number."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from facelatch.config.line import CameraConfig

SYS = Path("/sys/class/video4linux")


def identity(config: CameraConfig, sys: Path = SYS) -> str:
    """Name and serial number of the camera; empty for recorded pictures, and where the system does not know."""
    if config.source == "v4l2":
        return _of_usb(config.device, sys)
    if config.source == "picamera2":
        return _of_module(config.device)
    return ""


def _of_usb(device: str, sys: Path) -> str:
    name = f"video{device}" if device.isdecimal() else Path(device).resolve().name
    node = sys / name
    parts = []
    # The interface's folder lies in the device's, which has the serial number.
    for path in (node / "name", node / "device" / ".." / "serial"):
        with suppress(OSError):
            parts.append(path.read_text(encoding="utf-8", errors="replace").strip())
    return " ".join(part for part in parts if part)


def _of_module(device: str) -> str:
    try:
        from picamera2 import Picamera2

        found = Picamera2.global_camera_info()[int(device)]
        return f"{found.get('Model', '')} {found.get('Id', '')}".strip()
    except Exception:  # libcamera's errors have no common root; opening the camera tells what is wrong
        return ""
