"""Who may ask for what: no user gets what no entry gives, and what is refused is refused before anything is read."""

from __future__ import annotations

import getpass
import grp
import json
import os
import socket
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelatch.api import parsing, requests
from facelatch.api.intake import Asked, Refused, admitted
from facelatch.api.rights import ALL, OF_THE_GROUP, Asker, Policy, policy, unknown_accounts
from facelatch.api.traces import Traces
from facelatch.audit.events import Event, EventKind
from facelatch.config.file import parse
from facelatch.config.service import ControlConfig, Right
from facelatch.errors import ConfigError, InputError, NotAllowedError

RIGHTS = st.frozensets(st.sampled_from(get_args(Right)))
NUMBERS = st.integers(0, 6)
POLICIES = st.builds(
    Policy, st.integers(1, 6), st.dictionaries(NUMBERS, RIGHTS), st.dictionaries(NUMBERS, RIGHTS)
)

PICTURE = {"size": 1, "yaw": 0.0, "pitch": 0.0, "roll": 0.0}

# The policy


@given(POLICIES, NUMBERS, st.sets(NUMBERS))
def test_no_user_gets_what_no_entry_gives(rules: Policy, uid: int, groups: set[int]) -> None:
    granted = rules.rights_of(uid, groups)
    if uid in (0, rules.own_uid):
        assert granted == ALL
    elif uid in rules.users:
        assert granted == rules.users[uid]
    else:
        assert granted == {right for group in groups for right in rules.groups.get(group, ())}


@given(POLICIES, NUMBERS, st.sets(NUMBERS), NUMBERS)
def test_another_group_never_takes_a_right_away(
    rules: Policy, uid: int, groups: set[int], more: int
) -> None:
    assert rules.rights_of(uid, groups) <= rules.rights_of(uid, groups | {more})


def test_the_default_gives_the_group_a_little_and_root_everything() -> None:
    group = grp.getgrgid(os.getegid())
    rules = policy(ControlConfig(group=group.gr_name), own_uid=12345)
    assert rules.rights_of(4711, {group.gr_gid}) == OF_THE_GROUP
    assert rules.rights_of(4711, set()) == frozenset()
    assert rules.rights_of(0, set()) == rules.rights_of(12345, set()) == ALL
    assert {"export", "import", "people.write", "admin", "acts_for"}.isdisjoint(OF_THE_GROUP)


def test_an_entry_of_its_own_replaces_the_groups_default() -> None:
    group = grp.getgrgid(os.getegid())
    config = ControlConfig(group=group.gr_name, rights={f"@{group.gr_name}": ["status"]})
    assert policy(config, 1).rights_of(4711, {group.gr_gid}) == {"status"}


def test_without_a_group_nobody_else_has_any_right() -> None:
    assert policy(ControlConfig(group=""), own_uid=5) == Policy(5, {}, {})


def test_names_that_nobody_has_give_nothing_and_are_named() -> None:
    config = ControlConfig(group="", rights={"no-such-user": ["export"], "@no-such-group": ["export"]})
    assert policy(config, own_uid=5) == Policy(5, {}, {})
    assert unknown_accounts(config) == ["no-such-user", "@no-such-group"]
    assert unknown_accounts(ControlConfig(rights={getpass.getuser(): []})) == []


@pytest.mark.parametrize(
    "rights", ['alice = ["everything"]', 'alice = "status"', '"a b" = []', '"@@x" = []', '"" = []', "[]"]
)
def test_a_right_or_name_that_cannot_be_is_a_fault_of_the_configuration(rights: str) -> None:
    with pytest.raises(ConfigError, match=r"control\.rights"):
        parse(tomllib.loads(f"[control]\nrights = {{ {rights} }}" if "=" in rights else "[control]\nrights = 7"),
              origin="x")


# What a request takes


def asker(*rights: Right) -> Asker:
    return Asker(uid=1000, pid=1, rights=frozenset(rights))


@pytest.mark.parametrize(
    ("message", "takes"),
    [
        ({"action": "status"}, {"status"}),
        ({"action": "list"}, {"people.read"}),
        ({"action": "remove", "name": "x"}, {"people.write"}),
        ({"action": "enroll", "name": "x"}, {"enrol"}),
        ({"action": "enroll", "name": "x", "admin": True}, {"enrol", "admin"}),
        ({"action": "admin", "name": "x", "admin": False}, {"admin"}),
        ({"action": "export"}, {"export"}),
        ({"action": "import"}, {"import"}),
        ({"action": "import", "replace": True}, {"import", "people.write"}),
        ({"action": "status", "actor": "console"}, {"status", "acts_for"}),
    ],
)
def test_a_request_takes_every_right_it_needs(message: dict[str, Any], takes: set[Right]) -> None:
    assert parsing.parse(message).needs() == takes
    for missing in takes:
        refused = admitted(message, asker(*(takes - {missing})))
        assert isinstance(refused, Refused)
        assert refused.missing == missing


@given(RIGHTS, st.sampled_from(list(requests.CLASSES.values())), st.booleans(), st.booleans())
def test_a_request_is_admitted_only_with_all_rights(
    rights: frozenset[Right], cls: type[requests._Request], acts: bool, grand: bool
) -> None:
    given_: dict[str, Any] = {"action": cls.model_fields["action"].annotation.__args__[0]}
    given_ |= {name: "x" for name in ("name", "new_name", "beside") if name in cls.model_fields}
    if "admin" in cls.model_fields:
        given_["admin"] = grand
    if "pictures" in cls.model_fields:
        given_["pictures"] = [PICTURE]
    if "envelopes" in cls.model_fields:
        given_["envelopes"] = [{"uuid": "a" * 32, "size": 1}]
    if acts:
        given_["actor"] = "bridge-1"
    needed = parsing.parse(given_).needs()
    try:
        came = admitted(given_, asker(*rights))
    except InputError:  # nothing came along that it takes; it was admitted all the same
        assert needed <= rights
        return
    assert isinstance(came, Asked) == (needed <= rights)


def test_nothing_that_came_along_is_read_for_somebody_who_may_not() -> None:
    """A descriptor that is none at all would be an error if anybody looked."""
    refused = admitted({"action": "import"}, asker("status"), descriptor=99_999)
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, NotAllowedError)
    assert refused.error.exit_code == 12
    assert "control] rights" in refused.error.hint


@pytest.mark.parametrize("actor", ["", "x" * 33, "Anna", "a b", "a\n", "\x1b[2J", "ä"])
def test_an_actor_is_a_short_plain_word(actor: str) -> None:
    with pytest.raises(InputError):
        admitted({"action": "status", "actor": actor}, Asker(0, 1, ALL))


def test_a_claimed_actor_is_told_beside_the_user() -> None:
    asked = admitted({"action": "status", "actor": "console-anna"}, asker("status", "acts_for"))
    assert asked.by.fields() == {"UID": 1000, "PID": 1, "ACTOR": "console-anna"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({name for cls in requests.CLASSES.values() for name in cls.model_fields} - {"action"})


@given(
    st.dictionaries(st.sampled_from([*FIELDS, "\x1b[2J"]), JSON | st.sampled_from(["Anna", 0, True]), max_size=4),
    st.sampled_from([*requests.ACTIONS, "explode"]) | JSON,
    RIGHTS,
)
def test_any_message_is_asked_refused_or_an_input_error_in_plain_words(
    fields: dict[str, Any], action: Any, rights: frozenset[Right]
) -> None:
    found = outcome({"action": action, **fields}, asker(*rights))
    if isinstance(found, InputError):
        assert (str(found) + found.hint).isprintable()
        assert len(str(found)) < 2_000
    else:
        assert isinstance(found, Refused) or found.request.needs() <= rights


def outcome(message: dict[str, Any], by: Asker) -> Asked | Refused | InputError:
    try:
        return admitted(message, by)
    except InputError as error:
        return error


@pytest.mark.parametrize(
    "message",
    [
        {"action": "export", "names": ["x"] * 501},
        {"action": "export", "names": ["x" * 2_000]},
        {"action": "rename", "name": "x", "new_name": "x" * 2_000},
        {"action": "enroll_pictures", "name": "x", "pictures": [PICTURE] * 65},
        {"action": "list", "after": 2**70},
        {"action": "list", "after": -1},
        {"action": "import", "part": 1},
        {"action": "import", "more": True},
        {"action": "import", "batch": "x" * 32},
    ],
)
def test_lists_texts_and_numbers_have_bounds(message: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        parsing.parse(message)


# Traces


def test_a_refusal_is_written_once_a_minute_with_how_many_there_were() -> None:
    traces, written = Traces(), []
    for second in range(0, 130, 2):
        event = Event(EventKind.CONTROL_REFUSED, {"UID": 5, "PID": second, "ACTION": "export", "RIGHT": "export"})
        written += [traces.worth_writing(event, float(second))]
    assert [(one.fields["PID"], one.fields["COUNT"]) for one in written if one] == [(0, 1), (60, 30), (120, 30)]


@given(st.lists(st.integers(0, 1_000), max_size=400))
def test_the_memory_of_refusals_is_bounded_and_a_user_never_seen_is_written(users: list[int]) -> None:
    traces, seen = Traces(), set[int]()
    for uid in users:
        event = Event(EventKind.CONTROL_REFUSED, {"UID": uid, "ACTION": "list", "RIGHT": "people.read"})
        assert traces.worth_writing(event, 0.0) is not None or uid in seen
        seen.add(uid)
        assert len(traces._seen) <= 256


# Other users, for real

NOBODY, WARDENS = 65_534, 61_007

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def ask_as(uid: int, groups: list[int], path: Path, message: dict[str, Any]) -> dict[str, Any]:
    """The reply to somebody else: a child that has become that user asks."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(json.dumps(message).encode() + b"\n")
                os.write(writing, connection.makefile("rb").readline())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return dict(json.loads(answer))


@as_root
def test_another_user_gets_what_the_groups_give_and_the_audit_names_the_user(
    served: Callable[..., Any], open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rights come by a supplementary group, as `usermod -aG` gives it."""
    monkeypatch.setattr("facelatch.api.rights._gid_of", {"wardens": WARDENS}.get)
    door = served({"rights": {"@wardens": ["people.read", "people.write"]}}, folder=open_folder)
    door.socket.chmod(0o666)
    listed = ask_as(1234, [WARDENS], door.socket, {"action": "list"})
    assert [one["name"] for one in listed["people"]] == ["Anna", "Ben"]
    for message in (
        {"action": "export"},
        {"action": "status"},
        {"action": "admin", "name": "Ben", "admin": True},
        {"action": "list", "actor": "root"},
    ):
        assert ask_as(1234, [WARDENS], door.socket, message)["error"]["kind"] == "NotAllowedError"
    assert ask_as(1234, [], door.socket, {"action": "list"})["error"]["kind"] == "NotAllowedError"
    assert ask_as(1234, [WARDENS], door.socket, {"action": "remove", "name": "ben"})["name"] == "Ben"
    door.close()
    removed = next(event for event in door.audit.events if event.kind is EventKind.PERSON_REMOVED)
    assert (removed.fields["PERSON"], removed.fields["UID"]) == ("Ben", 1234)
    refused = [event for event in door.audit.events if event.kind is EventKind.CONTROL_REFUSED]
    assert [event.fields["ACTION"] for event in refused] == ["export", "status", "admin", "list", "list"]


@as_root
def test_a_users_own_entry_shuts_out_whoever_the_group_lets_in(
    served: Callable[..., Any], open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facelatch.api.rights._gid_of", {"wardens": WARDENS}.get)
    monkeypatch.setattr("facelatch.api.rights._uid_of", {"mallory": 1234}.get)
    door = served({"rights": {"@wardens": ["status"], "mallory": []}}, folder=open_folder)
    door.socket.chmod(0o666)
    assert "door" in ask_as(1235, [WARDENS], door.socket, {"action": "status"})
    assert ask_as(1234, [WARDENS], door.socket, {"action": "status"})["error"]["kind"] == "NotAllowedError"
