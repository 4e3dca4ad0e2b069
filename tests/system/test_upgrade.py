"""What an upgrade keeps, what it goes back to, and what an uninstallation leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.system

REPO = Path(__file__).resolve().parents[2]
CONFIG_PATH = "/etc/facelatch/facelatch.toml"
STATE = "/var/lib/facelatch"
UNIT = "facelatch.service"
CONSOLE = "facelatch-console.service"


def test_upgrading_a_running_door_keeps_gallery_and_configuration(door: Any):
    door.start()
    slot, config = door.run("readlink", "/opt/facelatch"), door.run("cat", CONFIG_PATH)
    door.run("runuser", "-u", "facelatch", "--", "touch", f"{STATE}/keepsake")
    with door.measured("upgrading, all of it"):
        door.install("--upgrade")
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") != slot
    assert door.run("sh", "-c", "ls -d /opt/facelatch-*") == "/opt/" + door.run("readlink", "/opt/facelatch")
    assert door.run("cat", CONFIG_PATH) == config
    assert "keepsake" in door.run("ls", STATE)
    assert "before-upgrade" not in door.run("ls", "/var/lib")


def test_an_upgrade_that_does_not_get_ready_goes_back_to_what_was(door: Any):
    """The new version dies at start and leaves a mark in the gallery's folder: both are undone."""
    door.start()
    slot, config = door.run("readlink", "/opt/facelatch"), door.run("cat", CONFIG_PATH)
    unit = door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service")
    door.run("sh", "-c", "echo '# from the old version' >>/usr/local/lib/systemd/system/facelatch.service")
    changed = door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service")
    door.install(wheel=_broken_wheel(door), check=False)
    assert door.machine.status == 1, door.machine.output
    assert f"going back to {slot}" in door.machine.output
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") == slot
    assert door.run("sh", "-c", "ls -d /opt/facelatch-*") == f"/opt/{slot}"
    assert door.run("cat", CONFIG_PATH) == config
    assert door.run("sha256sum", "/usr/local/lib/systemd/system/facelatch.service") == changed != unit
    assert "mark" not in door.run("ls", STATE)
    assert "before-upgrade" not in door.run("ls", "/var/lib")


BROKEN = b"""

def run(*_, **__):
    open("/var/lib/facelatch/mark", "w").close()
    raise OSError("broken")
"""


def _broken_wheel(door: Any) -> str:
    """A wheel of a version whose daemon never gets ready; returns its path in the container."""
    broken = door.shared / "broken" / door.wheel.name
    broken.parent.mkdir()
    with zipfile.ZipFile(door.wheel) as old, zipfile.ZipFile(broken, "w") as new:
        for item in old.infolist():
            extra = BROKEN if item.filename == "facelatch/app/loop.py" else b""
            new.writestr(item, old.read(item) + extra)
    return f"/mnt/shared/broken/{door.wheel.name}"


def test_uninstalling_leaves_gallery_and_configuration_and_installing_finds_them_again(door: Any):
    door.start()
    door.install("--uninstall")
    assert door.run("systemctl", "is-active", UNIT, check=False) != "active"
    assert door.run("sh", "-c", "ls -d /opt/facelatch* /usr/local/bin/facelatch", check=False) == ""
    assert "gallery.db" in door.run("ls", STATE)
    config = door.run("cat", CONFIG_PATH)
    said = door.install("--with-console", "--with-bridge")
    assert "what is left to do" in said, "the configuration is somebody's own"
    assert door.run("cat", CONFIG_PATH) == config
    door.start()
    assert door.ready()


RIGHTS = '\n[control]\nrights = { facelatch-console = ["status", "people.read", "acts_for"] }\n'


def test_the_console_answers_this_machine_and_lets_in_whoever_was_invited(door: Any):
    """As the test before has installed it; as its own user, who reaches no face."""
    door.configure(door.run("cat", CONFIG_PATH) + RIGHTS)
    door.start()
    for unit in (CONSOLE, "facelatch-intake.socket"):
        door.until(lambda unit=unit: door.show("ActiveState", unit) == "active", 5, unit)
        assert door.show("UnitFileState", unit) == "enabled"
    assert door.show("UnitFileState", "facelatch-bridge.service") == "enabled"
    asked = "import urllib.request as r; print(r.urlopen('http://localhost:8080/sign-in').read().decode())"
    door.until(lambda: "Sign in" in door.run("python3", "-c", asked, check=False), 10, "the page to sign in")
    listening = door.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    (where,) = (
        line.split()[1] for line in listening if line.split()[3] == "0A" and ":1F90" in line.split()[1]
    )
    assert where == "0100007F:1F90", "127.0.0.1 alone"
    link = door.run("facelatch", "console", "invite", "alice").splitlines()[0]
    assert "alice" in door.run("python3", "-c", asked.replace("http://localhost:8080/sign-in", link))
    owner = door.run("stat", "-c", "%U %a", "/var/lib/facelatch-console/accounts.sqlite")
    assert owner == "facelatch-console 600"
    pid = door.show("MainPID", CONSOLE)
    assert door.run("stat", "-c", "%U", f"/proc/{pid}") == "facelatch-console"


UPLOAD = """
import io, socket
import pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
for kind in ("JPEG", "HEIF"):
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), (90, 90, 90)).save(picture, kind)
    with socket.socket(socket.AF_UNIX) as intake:
        intake.connect("/run/facelatch-intake.sock")
        intake.sendall(len(picture.getvalue()).to_bytes(4, "big") + picture.getvalue())
        print(intake.makefile().readline())
"""


def test_uploads_are_decoded_where_nothing_can_be_reached(door: Any):
    """By the unit as it is installed: a user of its own, no network, few system calls; HEIC takes a thread there."""
    door.run("systemctl", "start", "facelatch-intake.socket")
    answers = door.run("/opt/facelatch/bin/python", "-I", "-c", UPLOAD).split("\n\n")
    assert len(answers) == 2
    for answer in answers:
        assert json.loads(answer)["problem"].startswith("no_face"), answer


TLS = """
import ssl, sys, urllib.request
trusted = ssl.create_default_context(cafile="/etc/facelatch/console/facelatch-authority.crt")
print(urllib.request.urlopen("https://localhost:8443/sign-in", context=trusted).read().decode())
"""


def test_the_console_serves_its_own_certificate_and_the_timer_s_unit_renews_it(door: Any):
    """Before another name is asked for, whoever trusts the authority reads the page."""
    made, renewal = "/etc/facelatch/console/console.pem", "facelatch-certificate.service"
    door.run("facelatch", "console", "certificate", "localhost")
    assert door.run("stat", "-c", "%U %G %a", made) == "root facelatch-console 640"
    lines = f'\n[console]\nlisten = "0.0.0.0:8443"\ncertificate = "{made}"\nkey = "{made}"\n'
    door.configure(door.run("cat", CONFIG_PATH) + lines)
    door.run("systemctl", "restart", CONSOLE)
    door.until(lambda: "Sign in" in door.run("python3", "-c", TLS, check=False), 10, "the page, by TLS")
    before = door.run("sha256sum", made)
    door.run("systemctl", "start", renewal)
    assert door.run("sha256sum", made) == before, "it has long to go"
    now = "ExecStart=/opt/facelatch/bin/facelatch console certificate"
    door.change_unit(f"[Service]\nExecStart=\n{now}\n", renewal)
    door.run("systemctl", "start", renewal)
    assert door.run("sha256sum", made) != before
    assert door.run("stat", "-c", "%U %G %a", made) == "root facelatch-console 640"
    assert door.run("stat", "-c", "%U %a", "/etc/facelatch/console/authority.key") == "root 600"
    door.run("rm", "-r", f"/run/systemd/system/{renewal}.d")


def test_purging_leaves_nothing(door: Any):
    """After it nothing is installed."""
    door.run("systemctl", "enable", "--now", "facelatch-backup.timer")
    door.install("--uninstall", "--purge")
    assert left_behind(door) == ""
    assert "f70c4632c70d4b0b9cc2b3e7682f00b9" not in door.run("journalctl", "--list-catalog")


def test_the_package_installs_upgrades_and_leaves_as_the_installer_does(door: Any):
    """The last test. The packages it depends on are the Pi's own, so dpkg is told to go on without them."""
    built = subprocess.run(
        ["sh", REPO / "deploy" / "build-deb.sh", door.shared],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (package,) = door.shared.glob("*.deb")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt/shared/wheels"}
    install = ("dpkg", "--force-depends", "--force-confold", "--install", f"/mnt/shared/{package.name}")
    config = door.run("cat", CONFIG_PATH)
    door.run(*install, **pip)
    assert door.run("cat", CONFIG_PATH) == config
    door.start()
    slot = door.run("readlink", "/opt/facelatch")
    door.run(*install, **pip)
    assert door.ready()
    assert door.run("readlink", "/opt/facelatch") != slot
    door.install("--upgrade", check=False)
    assert "use apt" in door.machine.output
    assert door.show("UnitFileState", CONSOLE) == "disabled", "until somebody wants it"
    door.run("systemctl", "enable", "--now", CONSOLE, "facelatch-backup.timer")
    door.run("dpkg", "--remove", "facelatch")
    assert not door.ready()
    assert door.run("sh", "-c", "ls /etc/systemd/system/*.wants/facelatch*", check=False) == ""
    assert "gallery.db" in door.run("ls", STATE)
    assert door.run("cat", CONFIG_PATH) == config
    door.run("dpkg", "--purge", "facelatch")
    assert left_behind(door) == ""


def left_behind(door: Any) -> str:
    """Every trace of an installation, the user included; empty when there is none."""
    places = f"/opt/facelatch* /etc/facelatch {STATE}* /usr/bin/facelatch /usr/share/facelatch /usr/local/*/facelatch*"
    units = "/usr/*/systemd/system/facelatch* /etc/systemd/system/*/facelatch* /etc/systemd/system/facelatch*"
    users = "facelatch facelatch-console facelatch-bridge facelatch-collect facelatch-lock"
    running = "systemctl list-units --all --plain --no-legend 'facelatch*' | grep -v not-found"
    return door.run("sh", "-c", f"ls -d {places} {units}; getent passwd {users}; {running}", check=False)
