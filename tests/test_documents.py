"""What the documents promise is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from facelatch.audit.events import SPECS
from facelatch.cli.root import facelatch
from facelatch.config.file import Config
from facelatch.machines import button, indicator

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")


def test_the_led_card_in_the_readme_is_the_table_the_daemon_follows() -> None:
    """Row by row; the daemon has no other table."""
    card = README.split("<!-- led-card -->")[1].split("<!-- /led-card -->")[0]
    assert card.strip() == led_card()


def test_the_gestures_in_the_readme_are_all_that_the_daemon_knows() -> None:
    table = README.split("<!-- gestures -->")[1].split("<!-- /gestures -->")[0].strip().splitlines()
    assert table[2:] == [f"| {how} | {meaning} |" for how, meaning in button.card()]


def test_every_command_the_readme_names_exists() -> None:
    """A renamed command must not linger in the manual."""
    context = click.Context(facelatch)
    known = set(facelatch.list_commands(context))
    named = set(re.findall(r"facelatch (?:--\S+ \S+ )?([a-z]+)", README)) - {"in", "does", "runs", "facelatch"}
    assert {"run", "check", "enroll", "people", "verify", "replay", "status", "bench"} <= named
    assert named <= known


def test_the_table_of_error_rates_is_that_of_the_shipped_model() -> None:
    """A buyer reads it: another model must not keep the figures of this one."""
    rates = json.loads((REPO / "models" / "siamese.json").read_text(encoding="utf-8"))["rates"]
    table = README.split("## How good it is today")[1].split("The people are")[0]
    told = (
        ("far_per_attempt", 2),
        ("far_per_attempt_relatives", 1),
        ("frr_per_attempt_varied", 1),
        ("frr_per_attempt_still", 1),
    )
    for name, digits in told:
        rate = rates[name]
        value, low, high = (f"{100 * rate[key]:.{digits}f}" for key in ("value", "low", "high"))
        row = next(row for row in table.splitlines() if f"| {value} % (" in row)
        assert f"| {low} to {high} % | {rate['identities']} people |" in row


def test_the_readme_says_what_a_newcomer_asks_first() -> None:
    """How the code gets there, who is admin, who may do what, what to do when nobody gets in."""
    for words in (
        "Python 3.11, 3.12 or 3.13", "rsync -a", "Nobody is admin by being the first", "### Who may do what",
        "### When nobody gets in", "`sudo facelatch lockout --clear`", "`facelatch people show alice`",
        "sudo facelatch enroll alice --admin", "sudo facelatch people admin alice", "sh deploy/venv.sh train",
        "](models/det.svg)",
    ):  # fmt: skip
        assert words in README, words


@pytest.mark.parametrize("script", ["deploy/demo.sh", "tests/run.sh"])
def test_the_two_commands_of_the_readme_are_there(script: str) -> None:
    """The first thing a newcomer types."""
    assert f"sh {script}" in README
    assert (REPO / script).is_file()


@pytest.mark.parametrize(
    "document",
    [
        *("README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"),
        *("daemon/README.md", "training/README.md", "deploy/README.md", "tests/system/README.md"),
    ],
)
def test_links_lead_somewhere(document: str) -> None:
    """Relative links only; each names a file or folder of the project."""
    text = (REPO / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (REPO / document).parent.joinpath(target).exists(), target


def test_every_fault_in_the_daemons_table_is_an_event_that_exists() -> None:
    """The failure table names events by their journal name."""
    text = (REPO / "daemon" / "README.md").read_text(encoding="utf-8")
    kinds = {kind.value for kind in SPECS}
    families = "|".join({kind.partition(".")[0] for kind in kinds})
    named = set(re.findall(rf"`((?:{families})\.[a-z_]+)`", text))
    files = {name for name in named if name.endswith((".py", ".sqlite"))}
    settings = {f"{section}.{key}" for section, keys in Config().model_dump().items() for key in keys}
    assert {"door.lapsed", "camera.recovered", "ledger.failed", "reader.lost"} <= named
    assert named - files - settings <= kinds


def test_the_style_is_shown_by_code_that_is_there() -> None:
    """Every example of the contributors' page stands word for word in the file it names; the page stays short."""
    page = (REPO / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python (\S+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 6
    for name, text in examples:
        assert text in (REPO / name).read_text(encoding="utf-8"), name
    assert len(page.splitlines()) < 150


def led_card() -> str:
    """The card as Markdown."""
    rows = ["| it says | one LED | RGB LED |", "|---|---|---|"]
    rows += [f"| {meaning} | {rhythm} | {colour} |" for meaning, rhythm, colour in indicator.card()]
    return "\n".join(rows)


def test_the_walk_to_a_new_machine_can_be_walked(tmp_path: Path) -> None:
    """The files that the page spells out are written as it says, and their tests pass."""
    page = (REPO / "daemon" / "docs" / "adding-a-machine.md").read_text(encoding="utf-8")
    files = re.findall(r"^```python (\S+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["lingering.py", "test_lingering.py"]
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(tests, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
