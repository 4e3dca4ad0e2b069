"""What an installation needs is complete, valid and agrees with the code; the installer lays it out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import click
import pytest

from facelatch.adapters.pins import lock
from facelatch.audit.events import SPECS, EventKind
from facelatch.cli import certificate
from facelatch.cli.root import facelatch
from facelatch.config.file import Config, load
from facelatch.config.service import Right
from facelatch.errors import ConfigError, ModelError
from facelatch.keeper.__main__ import arguments

REPO = Path(__file__).resolve().parents[1]
DEPLOY = REPO / "deploy"
UNIT = (DEPLOY / "facelatch.service").read_text(encoding="utf-8")
KEEPER = (DEPLOY / "facelatch-lock.service").read_text(encoding="utf-8")
BACKUP = (DEPLOY / "facelatch-backup.service").read_text(encoding="utf-8")
TIMER = (DEPLOY / "facelatch-backup.timer").read_text(encoding="utf-8")
RENEWAL = (DEPLOY / "facelatch-certificate.service").read_text(encoding="utf-8")
UNITS = sorted(file for file in DEPLOY.glob("facelatch*") if file.suffix in (".service", ".timer", ".socket"))
CATALOGUE = DEPLOY / "facelatch.catalog"
GUIDE = (DEPLOY / "README.md").read_text(encoding="utf-8")
ONE_DOOR, _, SHARED_PEOPLE = GUIDE.partition("\n## Several doors\n")
ONE_LOG = (DEPLOY / "several-doors.md").read_text(encoding="utf-8")
DROP_INS = sorted((DEPLOY / "drop-in").glob("*.conf"))
DRAWINGS = sorted((DEPLOY / "wiring").glob("*.svg"))
SECONDS = 120
"""Far more than any of these takes, also on a busy machine."""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here: this part of the deployment is unchecked")
    return path


# ---- The unit


def verified(folder: Path, *drop_ins: Path, changed: Mapping[str, str] | None = None) -> str:
    """What `systemd-analyze verify` says about all units, the texts of some changed; empty when all is well."""
    analyze = tool("systemd-analyze")
    # The program is not installed where tests run, and systemd looks whether it is there.
    for file in UNITS:
        text = (changed or {}).get(file.name) or file.read_text(encoding="utf-8")
        there = re.sub(r"/opt/facelatch/bin/[a-z-]+", "/bin/true", text)
        (folder / file.name).write_text(there, encoding="utf-8")
    for drop_in in drop_ins:
        (folder / "facelatch.service.d").mkdir(exist_ok=True)
        shutil.copy(drop_in, folder / "facelatch.service.d")
    done = run(analyze, "verify", "--man=no", *(folder / file.name for file in UNITS))
    about_us = [line for line in (done.stdout + done.stderr).splitlines() if "facelatch" in line]
    return "\n".join(about_us)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path):
    assert verified(tmp_path) == ""


def test_systemd_finds_nothing_wrong_with_the_drop_ins(tmp_path: Path):
    assert verified(tmp_path, *DROP_INS) == ""


def test_the_backup_calls_a_command_that_exists_and_runs_only_when_somebody_wants_it():
    words = unit_value("ExecStart", BACKUP).split()
    context = click.Context(facelatch)
    people = facelatch.get_command(context, "people")
    assert isinstance(people, click.Group)
    assert words[3:5] == ["people", "backup"]
    options = {option for parameter in people.commands["backup"].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} - {"--config"} <= options
    assert not re.search(r"enable.*facelatch-backup", (DEPLOY / "install.sh").read_text(encoding="utf-8"))
    assert unit_value("MemorySwapMax", BACKUP) == unit_value("MemorySwapMax") == "0"


def test_the_renewal_writes_where_the_certificates_lie_and_nowhere_else():
    folder = str(certificate.FOLDER)
    assert unit_value("ReadWritePaths", RENEWAL) == folder
    assert unit_value("ConditionPathExists", RENEWAL) == f"{folder}/{certificate.AUTHORITY}"
    assert unit_value("ExecStart", RENEWAL).split()[3:] == ["console", "certificate", "--renew"]


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_a_mistake_in_a_unit_would_be_found(tmp_path: Path, file: Path):
    text = re.sub(r"^(\w+)=", r"\1Not=", file.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert file.name in verified(tmp_path, changed={file.name: text})


def test_the_mistake_is_named(tmp_path: Path):
    daemon, keeper = UNIT.replace("WatchdogSec=", "WatchdogSecs="), KEEPER.replace("Nice=", "Nicer=")
    assert "WatchdogSecs" in verified(tmp_path, changed={"facelatch.service": daemon})
    assert "Nicer" in verified(tmp_path, changed={"facelatch-lock.service": keeper})


def exposure_is_within(tenths: int, unit: str = "facelatch.service") -> bool:
    done = run(tool("systemd-analyze"), "security", "--offline=true", f"--threshold={tenths}", DEPLOY / unit)
    assert "Overall exposure level" in done.stdout, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("unit", ["facelatch.service", "facelatch-lock.service", "facelatch-backup.service"])
def test_the_exposure_of_a_unit_is_at_most_one_of_ten(unit: str):
    assert exposure_is_within(10, unit)


def test_the_console_is_exposed_by_its_network_alone():
    """It has one, and a service with none has at most 1.0."""
    assert exposure_is_within(13, "facelatch-console.service")


def test_the_renewal_of_the_certificate_is_exposed_by_being_root_alone():
    assert exposure_is_within(12, "facelatch-certificate.service")


@pytest.mark.parametrize("unit", ["facelatch-bridge.service", "facelatch-collect.service"])
def test_bridge_and_collector_are_exposed_by_their_network_alone(unit: str):
    assert exposure_is_within(16, unit)


def test_whoever_takes_over_the_reader_of_uploads_has_nothing():
    assert exposure_is_within(10, "facelatch-intake@.service")


def test_a_smaller_exposure_than_it_has_would_be_refused():
    assert not exposure_is_within(2)


def directives(unit: str = UNIT) -> list[tuple[str, str, bool]]:
    """Key, value, and whether a comment stands above it in the same paragraph."""
    found, explained = [], False
    for line in unit.splitlines():
        if not line or line.startswith("["):
            explained = False
        elif line.startswith("#"):
            explained = True
        else:
            key, _, value = line.partition("=")
            found.append((key, value, explained))
    return found


@pytest.mark.parametrize(
    "unit", [UNIT, KEEPER, BACKUP, TIMER, RENEWAL], ids=["daemon", "keeper", "backup", "timer", "renewal"]
)
def test_every_line_of_a_unit_has_its_reason_in_words(unit: str):
    assert [key for key, _, explained in directives(unit) if not explained] == []


def unit_value(key: str, unit: str = UNIT) -> str:
    values = [value for name, value, _ in directives(unit) if name == key]
    assert len(values) == 1, f"{key} is there {len(values)} times"
    return values[0]


def test_the_unit_does_not_restart_what_restarting_cannot_repair():
    codes = {ConfigError.exit_code, ModelError.exit_code}
    assert {int(code) for code in unit_value("RestartPreventExitStatus").split()} == codes


def test_the_unit_gives_the_daemon_the_places_its_defaults_name():
    config = Config()
    assert config.storage.state_directory == f"/var/lib/{unit_value('StateDirectory')}"
    assert Path(config.control.socket).parent == Path("/run") / unit_value("RuntimeDirectory")
    assert config.control.group == unit_value("Group")


def test_the_unit_calls_commands_that_exist():
    called = re.findall(r"^Exec\w+=-?/opt/facelatch/bin/facelatch --config \S+ (\w+)", UNIT, re.MULTILINE)
    assert called == ["check", "run", "relock"]
    called += re.findall(r"^Exec\w+=-?/opt/facelatch/bin/facelatch --config \S+ ([a-z-]+)", KEEPER, re.MULTILINE)
    assert called[3:] == ["lock-arguments"]
    assert set(called) <= set(facelatch.list_commands(click.Context(facelatch)))


def test_the_units_and_the_code_agree_on_where_the_keeper_serves_and_whom():
    """And the keeper's unit understands what `lock-arguments` writes."""
    folder = unit_value("RuntimeDirectory", KEEPER)
    assert ("Environment", f"FACELATCH_LOCK=%t/{folder}/lock.sock", True) in directives()
    assert Path("/run") / folder / "lock.sock" == lock.SOCKET
    start, after = unit_value("ExecStart", KEEPER).split()[1:], unit_value("ExecStopPost", KEEPER).split()[1:]
    told = lock.keeper_arguments(Config().gpio, Config().door.max_unlock_seconds)
    for words in (start, after):
        assert words.pop() == "$FACELATCH_LOCK_ARGUMENTS"
        arguments([*words, *told])
    assert arguments([*start, *told]).client == unit_value("User")
    assert unit_value("Group", KEEPER) in unit_value("SupplementaryGroups").split()


@pytest.mark.parametrize("unit", [UNIT, KEEPER], ids=["daemon", "keeper"])
def test_no_unit_swaps_or_imports_what_lies_in_a_home(unit: str):
    """Faces and the lock's line: neither goes to a card, or through somebody's own packages."""
    assert unit_value("MemorySwapMax", unit) == "0"
    assert ("Environment", "PYTHONNOUSERSITE=1", True) in directives(unit)


def test_nobody_but_the_keeper_may_lock_memory_or_outlive_a_shortage_of_it():
    keys = {key for key, _, _ in directives(KEEPER)} - {key for key, _, _ in directives()}
    assert {"LimitMEMLOCK", "OOMScoreAdjust", "EnvironmentFile"} <= keys


def test_the_boot_lines_hold_and_pull_the_default_pin_to_its_default_safe_level():
    lines = (DEPLOY / "boot" / "config.txt").read_text(encoding="utf-8").splitlines()
    active = [line for line in lines if line and not line.startswith("#")]
    gpio = Config().gpio
    assert (gpio.lock_energise, gpio.lock_active) == ("to_unlock", "high")
    assert active == ["dtparam=strict_gpiod", f"gpio={gpio.lock_pin}=op,pd,dl"]


def test_a_drawing_shows_the_boot_line_of_the_boot_file():
    lines = {line.lstrip("#") for line in (DEPLOY / "boot" / "config.txt").read_text(encoding="utf-8").splitlines()}
    shown = re.findall(r"gpio=\d+=[\w,]+", "".join(path.read_text(encoding="utf-8") for path in DRAWINGS))
    assert len(shown) == 3
    assert set(shown) <= lines


# ---- The journal catalogue


def entries() -> dict[str, tuple[str, str]]:
    """Message id -> its header lines, its text."""
    parts = re.split(r"^-- ([0-9a-f]{32})$", CATALOGUE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    ids, bodies = parts[::2], parts[1::2]
    assert len(set(ids)) == len(ids), "an id is there twice"
    return {name: (header, text) for name, body in zip(ids, bodies, strict=True)
            for header, _, text in [body.strip().partition("\n\n")]}  # fmt: skip


def test_no_two_kinds_of_event_share_a_message_id():
    assert len({spec.message_id for spec in SPECS.values()}) == len(EventKind)


def test_the_catalogue_explains_exactly_the_events_there_are():
    assert set(entries()) == {spec.message_id for spec in SPECS.values()}


@pytest.mark.parametrize("kind", EventKind)
def test_a_catalogue_entry_says_what_happened_why_and_what_to_do(kind: EventKind):
    header, text = entries()[kind.spec.message_id]
    assert re.match(r"Subject: \S.*\nDefined-By: facelatch\nDocumentation: man:facelatch\(1\)$", header)
    explanation, _, advice = text.partition("\n\nWhat to do: ")
    assert len(explanation) > 20
    assert advice
    named = set(re.findall(r"@(\w+)@", header + text))
    assert named <= kind.spec.required, "only fields every such event has: others would leave a hole"


def test_the_journal_compiles_the_catalogue_and_finds_every_entry(tmp_path: Path):
    journalctl = tool("journalctl")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOGUE, folder)
    done = run(journalctl, f"--root={tmp_path}", "--update-catalog")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    listed = run(journalctl, f"--root={tmp_path}", "--list-catalog").stdout
    assert {line.split()[0] for line in listed.splitlines()} == set(entries())


# ---- User and directories


def test_systemd_makes_the_user_with_camera_and_pins_and_private_directories(tmp_path: Path):
    sysusers, tmpfiles = tool("systemd-sysusers"), tool("systemd-tmpfiles")
    if os.geteuid() != 0:
        pytest.skip("needs root: what it writes belongs to another user")
    (tmp_path / "etc").mkdir()
    done = run(sysusers, f"--root={tmp_path}", DEPLOY / "facelatch.sysusers")
    assert done.returncode == 0, done.stderr
    groups = (tmp_path / "etc" / "group").read_text(encoding="utf-8")
    assert re.search(r"^video:.*\bfacelatch\b", groups, re.MULTILINE)
    assert re.search(r"^gpio:.*\bfacelatch\b", groups, re.MULTILINE)
    assert re.search(r"^gpio:.*\bfacelatch-lock\b", groups, re.MULTILINE)
    assert re.search(r"^facelatch-lock:.*\bfacelatch\b", groups, re.MULTILINE)
    for companion in ("console", "bridge"):
        assert re.search(rf"^facelatch:.*\bfacelatch-{companion}\b", groups, re.MULTILINE)
    assert not re.search(r"^gpio:.*\bfacelatch-(console|bridge)\b", groups, re.MULTILINE)
    done = run(tmpfiles, f"--root={tmp_path}", "--create", DEPLOY / "facelatch.tmpfiles")
    assert (done.returncode, done.stderr) == (0, "")
    state = (tmp_path / "var" / "lib" / "facelatch").stat()
    assert state.st_mode & 0o777 == 0o700
    assert state.st_uid != 0
    assert (tmp_path / "etc" / "facelatch").stat().st_mode & 0o777 == 0o755
    fleet = tmp_path / "etc" / "facelatch" / "fleet"
    assert (fleet.stat().st_mode & 0o777, fleet.stat().st_uid, fleet.stat().st_gid) == (0o750, 0, state.st_gid)
    for folder in (fleet / "bridge", tmp_path / "etc" / "facelatch" / "collect"):
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o750, 0)
        assert folder.stat().st_gid not in (0, state.st_gid)
    assert not re.search(r"^facelatch:.*\bfacelatch-collect\b", groups, re.MULTILINE), "it asks no daemon"
    accounts = (tmp_path / "var" / "lib" / "facelatch-console").stat()
    assert accounts.st_mode & 0o777 == 0o700
    assert accounts.st_uid not in (0, state.st_uid)


# ---- The installer


def install(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = run("sh", DEPLOY / "install.sh", "--root", root, *options, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_version_is_on_the_disk_before_anything_points_to_it_and_so_is_the_pointer_after(tmp_path: Path) -> None:
    """In the virtual machine, programs of an upgrade were empty files after the kernel had crashed 30 s later."""
    text = (DEPLOY / "install.sh").read_text(encoding="utf-8")
    swap = text[text.index("point_to() {") :].partition("\n}\n")[0] + "\n}\n"
    (tmp_path / "a").mkdir()
    script = f"""current={tmp_path}/current; sync() {{ readlink "$current" || echo nothing; }}\n{swap}point_to a"""
    done = run("sh", "-euc", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["nothing", "a"]


def tree(root: Path) -> dict[str, str]:
    """Every file below `root`, with its mode and content or target."""
    return {
        str(path.relative_to(root)): f"-> {path.readlink()}"
        if path.is_symlink()
        else f"{path.stat().st_mode & 0o777:o} {path.read_bytes().hex()}"
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as the installer lays them out; only for reading."""
    root = tmp_path_factory.mktemp("installed")
    install(root)
    return root


def test_installing_twice_changes_nothing(installed: Path):
    before = tree(installed)
    assert "writing" not in install(installed).stdout
    assert tree(installed) == before


def test_installing_again_repairs_a_file_but_keeps_an_edited_configuration(tmp_path: Path):
    install(tmp_path)
    configuration = tmp_path / "etc" / "facelatch" / "facelatch.toml"
    configuration.write_text("[gpio]\nlock_pin = 16\n", encoding="utf-8")
    unit = tmp_path / "usr" / "local" / "lib" / "systemd" / "system" / "facelatch.service"
    unit.write_text("an older version\n", encoding="utf-8")
    install(tmp_path)
    assert configuration.read_text(encoding="utf-8") == "[gpio]\nlock_pin = 16\n"
    assert unit.read_text(encoding="utf-8") == UNIT


def test_console_and_bridge_may_ask_the_door_for_what_the_guide_says_when_they_are_wanted(tmp_path: Path):
    install(tmp_path, "--with-console", "--with-bridge")
    given = load(tmp_path / "etc" / "facelatch" / "facelatch.toml").control.rights
    told = told_rights(ONE_DOOR)
    assert given == dict(told)
    assert [user for user, _ in told] == ["facelatch-console", "facelatch-bridge"]


def told_rights(guide: str) -> list[tuple[str, list[str]]]:
    """User and rights, of each line of configuration in a guide."""
    lines = re.findall(r"^rights = { (facelatch-\w+) = (\[.*\]) }(?: +#.*)?$", guide, re.MULTILINE)
    return [(user, json.loads(rights)) for user, rights in lines]


@pytest.mark.parametrize(
    ("guide", "more"),
    [(SHARED_PEOPLE, "apply_people"), (ONE_LOG, "ledger")],
    ids=["people", "log"],
)
def test_several_doors_take_one_right_more_of_the_bridge_than_the_installer_gives(guide: str, more: str):
    alone = dict(told_rights(ONE_DOOR))["facelatch-bridge"]
    assert told_rights(guide) == [("facelatch-bridge", [*alone, more])]
    assert more in get_args(Right)


def test_a_configuration_of_somebody_s_own_is_left_to_that_person(tmp_path: Path):
    configuration = tmp_path / "etc" / "facelatch" / "facelatch.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text('[control]\nrights = { facelatch-bridge = ["status"] }\n', encoding="utf-8")
    said = install(tmp_path, "--with-console", "--with-bridge").stdout
    assert "what is left to do" in said
    assert "facelatch-console = [" in said
    assert "facelatch-bridge" not in said.partition("what is left to do")[2], "it has an entry"
    assert configuration.read_text(encoding="utf-8").count("facelatch-console") == 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda file: file.name)
def test_every_unit_is_laid_out_and_taken_away_again(installed: Path, unit: Path):
    assert (installed / "usr/local/lib/systemd/system" / unit.name).read_bytes() == unit.read_bytes()


def test_what_can_be_enabled_is_disabled_when_it_is_removed():
    """A unit that is gone and still enabled is an error at every boot."""
    script = (DEPLOY / "install.sh").read_text(encoding="utf-8")
    companions = re.findall(r'^(?:console|bridge|companions)="?(.*?)"?$', script, re.MULTILINE)
    names = " ".join(companions).replace("$console", "").replace("$bridge", "").split()
    wanted = {file.name for file in UNITS if "[Install]" in file.read_text(encoding="utf-8")}
    assert wanted == {*names, "facelatch.service"}


def test_uninstalling_leaves_configuration_and_gallery_only(tmp_path: Path):
    install(tmp_path)
    gallery = tmp_path / "var" / "lib" / "facelatch" / "gallery.db"
    gallery.parent.mkdir(parents=True)
    gallery.write_bytes(b"faces")
    install(tmp_path, "--uninstall")
    assert set(tree(tmp_path)) == {"etc/facelatch/facelatch.toml", "var/lib/facelatch/gallery.db"}


def test_purging_overwrites_the_gallery_before_it_goes(tmp_path: Path):
    """A second name for the file, as a copy on the card would be, shows what became of the bytes."""
    install(tmp_path)
    gallery = tmp_path / "var" / "lib" / "facelatch" / "gallery.db"
    gallery.parent.mkdir(parents=True)
    gallery.write_bytes(b"faces" * 1000)
    before = gallery.parent.with_name("facelatch.before-upgrade")
    shutil.copytree(gallery.parent, before)
    os.link(gallery, tmp_path / "one")
    os.link(before / "gallery.db", tmp_path / "two")
    install(tmp_path, "--uninstall", "--purge")
    assert not gallery.parent.exists()
    assert not before.exists()
    for rest in (tmp_path / "one", tmp_path / "two"):
        assert rest.read_bytes().strip(b"\0") == b""


@pytest.mark.parametrize(
    "secret", ["lib/facelatch-collect/collected.sqlite", "fleet/membership.json", "collect/door.key"]
)
def test_purging_overwrites_the_log_of_all_doors_and_the_keys_of_the_fleet(tmp_path: Path, secret: str):
    install(tmp_path)
    file = tmp_path / ("var" if secret.startswith("lib/") else "etc/facelatch") / secret
    file.parent.mkdir(parents=True)
    file.write_bytes(b"secret")
    os.link(file, tmp_path / "copy")
    install(tmp_path, "--uninstall", "--purge")
    assert not file.parent.exists()
    assert (tmp_path / "copy").read_bytes().strip(b"\0") == b""


def test_purging_the_package_overwrites_and_removes_what_the_installer_does():
    """Two scripts, one list of places and one of users."""
    script, package = ((DEPLOY / name).read_text(encoding="utf-8") for name in ("install.sh", "build-deb.sh"))
    users = re.findall(r"^u (\S+)", (DEPLOY / "facelatch.sysusers").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"for user in (.*); do", package)[0].split()) == set(users)
    removed = re.findall(r'for one in (.*); do\n +if id', script)[0].replace('"', "").replace("$user", "facelatch")
    assert set(removed.split()) == set(users)
    purged = package.partition("= purge")[2]
    for user in set(users) - {"facelatch-lock"}:
        assert re.search(rf"/var/lib/{user}\b(?!-)", script.partition("uninstall() {")[0 if user == "facelatch" else 2])
        assert re.search(rf"/var/lib/{user}\b(?!-)", purged)


def test_purging_leaves_no_file_at_all(tmp_path: Path):
    install(tmp_path)
    install(tmp_path, "--uninstall", "--purge")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("options", [["--purge"], ["--frobnicate"], ["--root"], ["--wheel", "/nonexistent.whl"]])
def test_the_installer_refuses_what_it_does_not_understand(options: list[str]):
    assert run("sh", DEPLOY / "install.sh", *options, PYTHON=sys.executable).returncode != 0


def test_the_installer_explains_itself():
    done = run("sh", DEPLOY / "install.sh", "--help")
    assert done.returncode == 0
    for option in ("--upgrade", "--uninstall", "--purge", "--wheel", "--no-apt", "--root", "--prefix", "--no-seal"):
        assert option in done.stdout


def test_a_program_can_be_run_and_all_else_only_be_read(installed: Path):
    files = [path for path in installed.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in files if path.stat().st_mode & 0o777 != 0o644] == ["facelatch-seal"]
    assert (installed / "usr/local/sbin/facelatch-seal").stat().st_mode & 0o777 == 0o755


def test_the_installer_takes_every_example_and_drawing_along(installed: Path):
    documents = installed / "usr" / "local" / "share" / "doc" / "facelatch"
    for folder in ("boot", "drop-in", "wiring"):
        assert {path.name for path in (documents / folder).iterdir()} == {
            path.name for path in (DEPLOY / folder).iterdir()
        }


def test_the_manual_describes_every_command(installed: Path):
    page = installed / "usr" / "local" / "share" / "man" / "man1" / "facelatch.1"
    text = page.read_text(encoding="utf-8")
    for name in facelatch.list_commands(click.Context(facelatch)):
        assert f".SS facelatch {name} ".replace("-", "\\-") in text
    if groff := shutil.which("groff"):
        done = run(groff, "-man", "-Tutf8", "-ww", page)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_shell_completes_commands(installed: Path):
    script = installed / "usr" / "local" / "share" / "bash-completion" / "completions" / "facelatch"
    assert "complete -o nosort -F _facelatch_completion facelatch" in script.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_package_holds_program_models_and_files(tmp_path: Path):
    dpkg = tool("dpkg-deb")
    done = run("sh", DEPLOY / "build-deb.sh", tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = tmp_path.glob("facelatch_*_all.deb")
    assert run(dpkg, "-x", package, tmp_path / "x").returncode == 0
    held = set(tree(tmp_path / "x"))
    assert {f"usr/lib/systemd/system/{unit.name}" for unit in UNITS} <= held
    assert "usr/share/facelatch/deploy/install.sh" in held
    (wheel,) = (tmp_path / "x" / "usr" / "share" / "facelatch").glob("*.whl")
    names = run(sys.executable, "-m", "zipfile", "-l", wheel).stdout
    for name in ("facelatch/app/run.py", "models/siamese.tflite", "models/siamese.json", "config/facelatch.toml"):
        assert name in names


# ---- The guide


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda path: path.stem)
def test_a_drawing_can_be_read_aloud_and_is_in_the_guide(drawing: Path):
    root = ElementTree.parse(drawing).getroot()
    for part in ("title", "desc"):
        assert (root.findtext(f"{{http://www.w3.org/2000/svg}}{part}") or "").strip()
    assert f"(wiring/{drawing.name})" in GUIDE


def test_links_of_the_guide_lead_somewhere():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in GUIDE.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (DEPLOY / target).exists(), target
