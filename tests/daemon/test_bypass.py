"""Who could drive the lock's pin past its keeper."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facelatch.diagnosis import bypass


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Raspberry Pi OS: the group has the door's own users and one more; somebody else has it as primary group."""
    users = [SimpleNamespace(pw_name=name, pw_gid=gid) for name, gid in (("root", 0), ("dora", 997), ("ned", 5))]
    members = ["facelatch", "facelatch-lock", "pi"]
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=members))
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: users[0])


def node(mode: int) -> Any:
    return SimpleNamespace(stat=lambda: SimpleNamespace(st_uid=0, st_gid=997, st_mode=mode))


@pytest.mark.usefixtures("accounts")
def test_members_of_the_group_are_named_but_not_root_and_the_doors_own_users() -> None:
    """By membership or by primary group."""
    assert bypass.users([node(0o20660)]) == ["dora", "pi"]
    assert bypass.users([node(0o20600)]) == []


def test_a_device_for_everybody_is_called_so() -> None:
    assert bypass.users([node(0o20666)]) == ["everybody"]


def test_the_chips_of_claimed_lines_are_no_way_past_and_the_pins_memory_is(tmp_path: Path) -> None:
    for name in ("gpiochip0", "gpiomem", "gpiomem0"):
        (tmp_path / name).touch()
    assert [path.name for path in bypass.pin_memory(tmp_path)] == ["gpiomem", "gpiomem0"]
