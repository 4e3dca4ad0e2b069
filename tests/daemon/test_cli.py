"""The command line as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch import cli, private_files
from facelatch.adapters.fakes import FakeVerifier
from facelatch.cli import output
from facelatch.cli.root import main
from facelatch.errors import InputError
from facelatch.gallery.export import read_export
from facelatch.gallery.store import GalleryStore
from facelatch.line import admission
from facelatch.values.pictures import Pose
from facelatch.values.records import NewPerson, Reference

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "facelatch.toml"
    file.write_text(
        f'[storage]\nstate_directory = "{tmp_path / "state"}"\n'
        f'[control]\nsocket = "{tmp_path / "control.sock"}"\ngroup = ""\n[gpio]\npin_factory = "mock"\n'
    )
    return file


@pytest.fixture
def run(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: str, config: Path | None = config) -> tuple[int, str, str]:
        options = ["--config", str(config)] if config is not None else []
        monkeypatch.setattr(sys, "argv", ["facelatch", *options, *arguments])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def alice(tmp_path: Path) -> None:
    verifier = FakeVerifier()
    crop = np.full((112, 112, 3), 90, np.uint8)
    with GalleryStore.open(tmp_path / "state") as store:
        reference = Reference(crop, verifier.embed(crop), Pose(0, 0, 0))
        store.add(NewPerson("alice", True, (reference,) * 3), verifier.model_sha256)


def test_importing_the_command_line_pulls_in_nothing_heavy() -> None:
    """`facelatch --help` must answer at once, also on a Pi Zero."""
    heavy = ("numpy", "cv2", "pydantic", "sqlite3")
    code = f"import sys, facelatch.cli.root; print([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_help_lists_every_command_and_the_exit_codes(run: Run) -> None:
    """The first thing anybody types."""
    code, out, _ = run("--help", config=None)
    assert code == 0
    assert "..." not in out.split("Commands:")[1]  # no summary is cut off
    for word in (
        "run",
        "replay",
        "enroll",
        "people",
        "verify",
        "check",
        "bench",
        "relock",
        "status",
        "Exit codes",
    ):
        assert word in out


@pytest.mark.parametrize(
    "command", ["run", "replay", "enroll", "verify", "check", "bench", "relock", "status", "people"]
)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    """--help of a command says more than its name."""
    code, out, _ = run(command, "--help")
    assert code == 0
    assert len(out.split()) > 15


def test_a_faulty_configuration_is_exit_3_with_every_fault(run: Run, config: Path) -> None:
    """All faults at once, on stderr, and a hint."""
    config.write_text('[door]\nunlock_seconds = "x"\n[camra]\n')
    code, out, err = run("people", "list")
    assert (code, out) == (3, "")
    assert "door.unlock_seconds" in err
    assert "did you mean 'camera'" in err
    assert "hint:" in err


def test_a_missing_configuration_is_exit_3(run: Run, tmp_path: Path) -> None:
    """A file named by --config must exist."""
    code, _, err = run("people", "list", config=tmp_path / "nowhere.toml")
    assert code == 3
    assert "nowhere.toml" in err


def test_wrong_usage_is_exit_2(run: Run) -> None:
    """An unknown option is the user's slip, not an internal error."""
    assert run("people", "list", "--sideways")[0] == 2
    assert run("enroll", "bob")[0] == 2
    assert run("enroll", "bob", "--camera", "--force")[0] == 2
    assert run("enroll", "--camera")[0] == 2
    assert run("enroll", "bob", "--camera", "--add", "--replace")[0] == 2
    assert run("enroll", "bob", "--camera", "--add", "--admin")[0] == 2
    assert run("enroll", "bob", "--abort")[0] == 2


@pytest.mark.usefixtures("alice")
def test_people_without_a_daemon_work_on_the_gallery_itself(run: Run) -> None:
    """list, show, rename, admin, remove, each seen in the next list."""
    assert json.loads(run("people", "list", "--json")[1])[0]["name"] == "alice"
    assert json.loads(run("people", "show", "alice", "--json")[1])["references"] == 3
    assert run("people", "rename", "alice", "Zoë")[0] == 0
    assert run("people", "admin", "Zoë", "--off")[0] == 0
    listed = json.loads(run("people", "list", "--json")[1])
    assert [(one["name"], one["admin"]) for one in listed] == [("Zoë", False)]
    assert run("people", "remove", "Zoë", "--yes")[0] == 0
    assert "nobody" in run("people", "list")[1]


@pytest.mark.usefixtures("alice")
def test_an_import_without_a_daemon_passes_the_rule_of_the_door(run: Run, tmp_path: Path) -> None:
    """Flat grey crops show nobody: exit 9, named, and nothing is added."""
    file = tmp_path / "people.facelatch"
    run("people", "export", str(file), "--plain")
    run("people", "remove", "alice", "--yes")
    code, _, err = run("people", "import", str(file))
    assert code == 9
    assert "alice: 100% of the images show no face that can be read" in err
    assert "nobody" in run("people", "list")[1]


@pytest.mark.usefixtures("alice")
def test_a_new_card_with_a_new_key_gets_everybody_back_from_a_backup(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that deploy/README.md describes: the old key is lost, and with it the gallery; the backup is all."""
    monkeypatch.setattr("facelatch.app.build.distinct_test", lambda *_: lambda _references: None)
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{identity}\n")
    (tmp_path / "recipients").write_text(f"{identity.to_public()}\n")
    (tmp_path / "backups").mkdir()
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials" / "facelatch-seal").write_bytes(b"1" * 32)
    assert "sealed, key 1" in run("seal", "status")[1]
    assert run("people", "backup", str(tmp_path / "backups"), "--recipients", str(tmp_path / "recipients"))[0] == 0
    (tmp_path / "credentials" / "facelatch-seal").write_bytes(b"2" * 32)
    code, _, err = run("people", "list")
    assert (code, "sealed with another key" in err, "restore from an export" in err) == (7, True, True)
    (tmp_path / "state").rename(tmp_path / "state.lost")
    (file,) = (tmp_path / "backups").iterdir()
    code, out, _ = run("people", "import", str(file), "--identity", str(tmp_path / "key.txt"), "--keep-admins")
    assert (code, out) == (0, "1 person imported: alice\n")
    assert "sealed, key 1" in run("seal", "status")[1]
    assert run("seal", "rotate")[1] == "sealed anew: key 2 is in force\n"
    assert json.loads(run("people", "list", "--json")[1])[0]["admin"]
    assert b"alice" not in b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())


@pytest.mark.usefixtures("alice")
def test_export_writes_a_private_file_that_import_takes_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0600, not overwritten unasked, and everybody is there again afterwards."""
    monkeypatch.setattr("facelatch.app.build.distinct_test", lambda *_: lambda _references: None)
    file = tmp_path / "people.facelatch"
    assert run("people", "export", str(file), "--plain")[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    code, _, err = run("people", "export", str(file), "--plain")
    assert code == 9
    assert "--overwrite" in err
    code, _, err = run("people", "import", str(file))
    assert code == 9
    assert all(word in err for word in (str(file), "'alice' is taken", "--replace"))
    run("people", "remove", "alice", "--yes")
    code, out, err = run("people", "import", str(file))
    assert (code, out) == (0, "1 person imported: alice\n")
    assert "no longer admin: alice; --keep-admins" in err
    assert "alice" in run("people", "list")[1]


@pytest.mark.usefixtures("alice")
def test_showing_a_person_is_for_people_to_read(run: Run) -> None:
    """One line a fact, one a picture; the same as JSON is the program's."""
    lines = run("people", "show", "alice")[1].splitlines()
    assert "admin        yes" in lines
    assert lines[-1] == "image 3      yaw +0.00, pitch +0.00, roll +0\N{DEGREE SIGN}"


def test_a_file_that_is_no_export_is_named(run: Run, config: Path) -> None:
    """Exit 9, not a traceback."""
    code, _, err = run("people", "import", str(config))
    assert code == 9
    assert f"{config}: not a whole export file" in err


@pytest.mark.parametrize("name", ["a/b", "x" * 300, "", "-x\n"])
def test_enrolling_under_an_impossible_name_fails_before_any_work(run: Run, tmp_path: Path, name: str) -> None:
    """Not after a minute of looking at pictures: the folder is not even opened."""
    code, _, err = run("enroll", "--images", str(tmp_path / "nowhere"), "--", name)
    assert code == 9
    assert "name" in err
    assert "nowhere" not in err


@pytest.mark.parametrize("name", ["nobody", "a/b", "x" * 300])
def test_an_unknown_or_impossible_name_is_exit_9(run: Run, name: str) -> None:
    """With the name and a reason."""
    code, _, err = run("people", "show", name)
    assert code == 9
    assert name[:10] in err


def test_status_without_a_daemon_is_exit_10(run: Run) -> None:
    """And the hint says how to start it."""
    code, _, err = run("status")
    assert code == 10
    assert "hint:" in err


def test_a_second_daemon_is_exit_8(run: Run, tmp_path: Path) -> None:
    """Whoever holds the gallery is left alone."""
    with GalleryStore.open(tmp_path / "state"):
        code, _, err = run("people", "list")
    assert code == 8
    assert "hint:" in err


def test_aborting_an_enrolment_without_a_daemon_is_exit_10(run: Run) -> None:
    """Only a running daemon enrols by its camera."""
    assert run("enroll", "--abort")[0] == 10


def test_relock_drives_the_safe_level_and_ends(run: Run) -> None:
    """What systemd calls after the daemon has gone."""
    assert run("relock")[0] == 0


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_verify_says_what_is_wrong_with_a_picture(run: Run, tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty, damaged: exit 9 and the file's name."""
    picture = tmp_path / "probe.jpg"
    if content is not None:
        picture.write_bytes(content)
    code, _, err = run("verify", str(picture))
    assert code == 9
    assert "probe.jpg" in err


def test_an_internal_error_is_exit_70_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line and how to see more; the traceback only with DEBUG=1."""
    monkeypatch.setattr("facelatch.cli.people.listed", lambda *_: 1 // 0)
    code, _, err = run("people", "list")
    assert code == 70
    assert "DEBUG=1" in err
    assert "Traceback" not in err


# What is printed


def test_only_the_module_output_prints() -> None:
    """A name that reaches the terminal by another way is not made visible."""
    folder = Path(cli.__path__[0])
    printing = [
        f"{file.name}: {call}"
        for file in folder.glob("*.py")
        for call in ("click.echo", "click.secho", "print(", "sys.stdout", "sys.stderr.write")
        if call in file.read_text(encoding="utf-8") and file.name != "output.py"
    ]
    assert printing == []


HOSTILE = "a\x1b[2J\x1b]0;title\x07\nfacelatch: all is well\u202e\x9b1m\udcff.jpg"


@given(st.text(), st.booleans())
def test_any_text_becomes_one_visible_line(text: str, hostile: bool) -> None:
    shown = output.visible(text + HOSTILE if hostile else text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def test_a_file_name_cannot_command_the_terminal_or_forge_a_line(run: Run, tmp_path: Path) -> None:
    """In an error of ours, of click, and in what `--json` prints."""
    for arguments in (("verify", HOSTILE), ("replay", HOSTILE), ("enroll", "bob", "--images", HOSTILE)):
        code, out, err = run(*arguments)
        assert code != 0
        assert not any(line.startswith("facelatch: all is well") for line in err.splitlines())
        assert (out + err).replace("\n", "").isprintable()


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("arguments", [("people", "list"), ("people", "show", "Žofie"), ("people", "list", "--json")])
def test_output_never_fails_whatever_the_locale(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    """A name that ASCII cannot show must not end a command that has already done its work."""
    assert run("people", "rename", "alice", "Žofie")[0] == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "facelatch", "--config", str(config), *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert r"\u017dofie" in done.stdout.lower()
    if "--json" in arguments:
        assert json.loads(done.stdout)[0]["name"] == "Žofie"


def facelatch(
    config: Path, *arguments: str, stdout: str, locale: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The program itself, its answer sent to the file `stdout`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if locale is not None:
        environment |= {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with Path(stdout).open("wb") as sink:
        return subprocess.run(
            [sys.executable, "-m", "facelatch", "--config", str(config), *arguments],
            env=environment, stdout=sink, stderr=subprocess.PIPE, encoding="utf-8", check=False,
        )  # fmt: skip


@pytest.mark.usefixtures("alice")
def test_an_answer_that_cannot_be_written_is_told_elsewhere(run: Run, config: Path) -> None:
    """The person is renamed by then: an `internal error` alone would have it tried again."""
    done = facelatch(config, "people", "rename", "alice", "bob", stdout="/dev/full")
    assert done.returncode == 9
    assert "No space left on device; it was to say: alice is now bob" in done.stderr
    assert "internal error" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert run("people", "show", "bob")[0] == 0


def test_a_full_disk_behind_standard_error_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said there beside the answer is worth less than the work."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    output.echo("a word beside", err=True)
    output.for_progress().write("a bar")


@pytest.mark.usefixtures("alice")
def test_a_name_from_a_terminal_without_utf_8_is_that_name(run: Run, config: Path, tmp_path: Path) -> None:
    """Python hands over the bytes of `Žofie` as something no gallery and no message could hold."""
    done = facelatch(config, "people", "rename", "alice", "Žofie", stdout=str(tmp_path / "out"), locale="C")
    assert done.returncode == 0, done.stderr
    assert run("people", "show", "Žofie")[0] == 0


@pytest.mark.usefixtures("alice")
def test_an_export_to_standard_output_is_the_file(run: Run, config: Path, tmp_path: Path) -> None:
    """For a program that encrypts it, say; never to a terminal, and what is said goes to standard error."""
    done = facelatch(config, "people", "export", "-", "--plain", stdout=str(tmp_path / "file"))
    assert "1 person written to standard output" in done.stderr
    piped = subprocess.run(
        [sys.executable, "-m", "facelatch", "--config", str(config), "people", "export", "-", "--plain"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, check=True,
    )  # fmt: skip
    for content in ((tmp_path / "file").read_bytes(), piped.stdout):
        assert [one.name for one in read_export(io.BytesIO(content))] == ["alice"]


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("target", ["missing/people.facelatch", "full"])
def test_an_export_that_failed_is_not_in_the_audit(run: Run, config: Path, tmp_path: Path, target: str) -> None:
    """No folder, no space: the audit would name a file with faces that there never was."""
    if target == "full":
        done = facelatch(config, "people", "export", "-", "--plain", stdout="/dev/full")
        code, err = done.returncode, done.stderr
    else:
        code, _, err = run("people", "export", str(tmp_path / target), "--plain")
    assert code == 9
    assert "gallery.exported" not in err


def test_hints_to_paste_quote_a_name_with_a_space() -> None:
    """Pasted without quotes they enrol somebody else."""
    assert "`facelatch enroll 'Anna Maria' --add`" in admission.duplicate_hint("Anna Maria")
    assert "`facelatch enroll anna --add`" in admission.duplicate_hint("anna")


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "another folder"), (errno.ENOENT, "folder must be there")],
)
def test_a_file_that_cannot_be_written_has_a_hint_for_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    """"Name a file in a folder you may write to" is no help where the disk is full."""

    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(private_files, "create_private", fails)
    with pytest.raises(InputError) as caught:
        private_files.write_private_file(tmp_path / "x", b"")
    assert told in caught.value.hint


def test_a_file_in_a_folder_of_others_is_no_internal_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, with what the system says."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/nowhere/people.facelatch")

    monkeypatch.setattr("facelatch.cli.people.listed", refuse)
    code, _, err = run("people", "list")
    assert code == 9
    assert err.startswith("facelatch: /nowhere/people.facelatch: Permission denied\n")


def test_peer_without_its_library_or_its_files_says_what_to_install(run: Run, tmp_path: Path) -> None:
    """Before minutes of measuring, not after."""
    code, _, err = run("bench", "--peer", str(tmp_path))
    assert code == 9
    assert "no mobilefacenet.param" in err
    for name in ("yunet.onnx", "mobilefacenet.param", "mobilefacenet.bin"):
        (tmp_path / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda _name: None)
        code, _, err = run("bench", "--peer", str(tmp_path))
    assert code == 9
    assert "-m pip install ncnn`" in err
@pytest.mark.usefixtures("alice")
def test_hours_are_said_shown_and_taken_away(run: Run) -> None:
    """What is not named stays as it is."""
    code, out, _ = run("people", "set", "alice", "--from", "2026-12-01", "--until", "2026-12-31", "--suspend")
    assert (code, out.strip()) == (0, "alice: from 2026-12-01, until 2026-12-31, suspended")
    code, out, _ = run("people", "set", "alice", "--resume", "--no-from", "--forget")
    assert (code, out.strip()) == (0, "alice: until 2026-12-31, then forgotten")
    assert "until 2026-12-31, then forgotten" in run("people", "list")[1]
    code, out, _ = run("people", "set", "alice", "--no-until", "--no-forget")
    assert (code, out.strip()) == (0, "alice: may come at any time")


@pytest.mark.usefixtures("alice")
def test_hours_that_cannot_be_are_told_with_what_to_do(run: Run) -> None:
    """Nothing to change, both ways at once, no such schedule, no day."""
    assert run("people", "set", "alice")[0] == 2
    assert run("people", "set", "alice", "--until", "2026-12-31", "--no-until")[0] == 2
    code, _, err = run("people", "set", "alice", "--schedule", "office")
    assert code == 9
    assert "there is no schedule 'office'" in err
    assert "hint: in schedules.toml there is: none yet" in err
    assert "valid_until" in run("people", "set", "alice", "--until", "tomorrow")[2]


@pytest.mark.usefixtures("alice")
def test_a_pin_and_a_card_are_asked_for_and_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a pipe one line each, as a script gives them; there is no option for them."""
    monkeypatch.setattr("facelatch.gallery.credentials.MEMORY_KIB", 8)
    monkeypatch.setattr(sys, "stdin", io.StringIO("493817\n820561\n"))
    code, out, err = run("people", "pin", "alice", "--duress")
    assert (code, out.strip()) == (0, "alice has a PIN now")
    assert "493817" not in out + err
    monkeypatch.setattr(sys, "stdin", io.StringIO("12,34567\n"))
    assert run("people", "card", "alice")[1].strip() == "alice has a card now"
    assert run("people", "list")[1].split()[-2:] == ["PIN,", "card"]
    assert run("people", "pin", "alice", "--remove")[1].strip() == "alice has no PIN now"
    monkeypatch.setattr(sys, "stdin", io.StringIO("1234\n"))
    code, _, err = run("people", "pin", "alice")
    assert code == 9
    assert "at least 6 are needed" in err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("people", "card", "alice")[0] == 9
    assert run("people", "pin", "alice", "493817")[0] == 2
