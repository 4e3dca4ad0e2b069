"""Passkeys: what is taken for a proof, and every lie that is not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import argon2
import pytest

pytest.importorskip("webauthn", reason="the passkeys' library is missing")
from authenticator import PRESENT, Authenticator, data, text
from hypothesis import given, settings
from hypothesis import strategies as st

from facelatch.console import passkeys, passwords
from facelatch.console.accounts import Accounts
from facelatch.console.passkeys import Passkeys, RefusedError, Site
from facelatch.errors import InputError

SITE = Site(name="door.local", origins=("https://door.local:8443",))
(HERE,) = SITE.origins
PASSWORD = "four words of nothing"


@dataclass
class House:
    accounts: Accounts
    passkeys: Passkeys
    now: list[float]

    def with_passkey(self, account: str) -> Authenticator:
        made = Authenticator()
        self.passkeys.add(SITE, account, made.make(self.passkeys.ask_for_new(SITE, account), HERE), "phone")
        return made


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(
        passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )
    now = [1_800_000_000.0]
    accounts = Accounts(tmp_path, lambda: now[0])
    for name in ("alice", "bob"):
        accounts.accept(accounts.invite(name, "viewer"), PASSWORD)
    yield House(accounts, Passkeys(accounts, lambda: now[0]), now)
    accounts.close()


def test_a_passkey_signs_in_whose_it_is_again_and_again(house: House) -> None:
    alices, bobs = house.with_passkey("alice"), house.with_passkey("bob")
    for key, name in ((alices, "alice"), (bobs, "bob"), (alices, "alice")):
        assert house.passkeys.signed_in(SITE, key.sign(house.passkeys.ask(SITE, "sign in"), HERE)) == name
    house.passkeys.proved(SITE, "alice", alices.sign(house.passkeys.ask(SITE, "prove", "alice"), HERE))


def test_to_prove_the_browser_is_told_of_the_account_s_own_passkeys_and_to_sign_in_of_none(
    house: House,
) -> None:
    alices = house.with_passkey("alice")
    house.with_passkey("bob")
    asked = json.loads(house.passkeys.ask(SITE, "prove", "alice"))
    assert [one["id"] for one in asked["allowCredentials"]] == [text(alices.id)]
    assert json.loads(house.passkeys.ask(SITE, "sign in"))["allowCredentials"] == []
    assert json.loads(house.passkeys.ask_for_new(SITE, "alice"))["excludeCredentials"][0]["id"] == text(
        alices.id
    )


def sign_in(house: House, change: Callable[[House, Authenticator], str]) -> None:
    alices = house.with_passkey("alice")
    with pytest.raises(RefusedError):
        house.passkeys.signed_in(SITE, change(house, alices))
    honest = alices.sign(house.passkeys.ask(SITE, "sign in"), HERE)
    assert house.passkeys.signed_in(SITE, honest) == "alice", "and nothing is spoilt by it"


LIES: dict[str, Callable[[House, Authenticator], str]] = {
    "another origin": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), "https://evil.example"),
    "plain http": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), "http://door.local:8443"),
    "another port": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), "https://door.local"),
    "another site's key": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), HERE, site="evil.example"),
    "no finger": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), HERE, flags=PRESENT),
    "nobody there": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), HERE, flags=0),
    "another user": lambda house, key: key.sign(house.passkeys.ask(SITE, "sign in"), HERE, handle=b"x" * 16),
    "an unknown key": lambda house, key: Authenticator(handle=key.handle).sign(
        house.passkeys.ask(SITE, "sign in"), HERE),
    "an unknown key under a known id": lambda house, key: Authenticator(id=key.id, handle=key.handle).sign(
        house.passkeys.ask(SITE, "sign in"), HERE),
    "a challenge of its own": lambda house, key: key.sign(
        json.dumps({"challenge": text(b"x" * 32), "rpId": SITE.name}), HERE),
    "a challenge to prove": lambda house, key: key.sign(house.passkeys.ask(SITE, "prove", "alice"), HERE),
    "a challenge to add": lambda house, key: key.sign(
        json.dumps({**json.loads(house.passkeys.ask_for_new(SITE, "alice")), "rpId": SITE.name}), HERE),
    "a registration": lambda house, key: Authenticator(key=key.key, id=key.id).make(
        house.passkeys.ask_for_new(SITE, "alice"), HERE),
    "nothing": lambda house, key: "",
    "a list": lambda house, key: "[1]",
    "deep nonsense": lambda house, key: "[" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_signs_in(house: House, lie: str) -> None:
    sign_in(house, LIES[lie])


def test_what_signed_in_once_does_not_again(house: House) -> None:
    alices = house.with_passkey("alice")
    sent = alices.sign(house.passkeys.ask(SITE, "sign in"), HERE)
    assert house.passkeys.signed_in(SITE, sent) == "alice"
    with pytest.raises(RefusedError, match="used"):
        house.passkeys.signed_in(SITE, sent)


def test_a_challenge_that_failed_is_used_up_and_one_grows_old(house: House) -> None:
    alices = house.with_passkey("alice")
    asked = house.passkeys.ask(SITE, "sign in")
    with pytest.raises(RefusedError):
        house.passkeys.signed_in(SITE, alices.sign(asked, "https://evil.example"))
    with pytest.raises(RefusedError, match="used"):
        house.passkeys.signed_in(SITE, alices.sign(asked, HERE))
    late = house.passkeys.ask(SITE, "sign in")
    house.now[0] += passkeys.CHALLENGE_SECONDS + 1
    with pytest.raises(RefusedError, match="too old"):
        house.passkeys.signed_in(SITE, alices.sign(late, HERE))


def test_a_copy_of_a_key_whose_count_lies_behind_is_refused(house: House) -> None:
    alices = house.with_passkey("alice")
    copy = Authenticator(key=alices.key, id=alices.id, handle=alices.handle)
    for _ in range(3):
        house.passkeys.signed_in(SITE, alices.sign(house.passkeys.ask(SITE, "sign in"), HERE))
    with pytest.raises(RefusedError):
        house.passkeys.signed_in(SITE, copy.sign(house.passkeys.ask(SITE, "sign in"), HERE))


def test_keys_that_do_not_count_as_many_phones_s_are_taken(house: House) -> None:
    alices = house.with_passkey("alice")
    for _ in range(2):
        alices.count = -1
        assert (
            house.passkeys.signed_in(SITE, alices.sign(house.passkeys.ask(SITE, "sign in"), HERE)) == "alice"
        )


def test_nobody_proves_by_another_account_s_passkey_or_challenge(house: House) -> None:
    alices, bobs = house.with_passkey("alice"), house.with_passkey("bob")
    with pytest.raises(RefusedError, match="unknown"):
        house.passkeys.proved(SITE, "alice", bobs.sign(house.passkeys.ask(SITE, "prove", "alice"), HERE))
    with pytest.raises(RefusedError, match="something else"):
        house.passkeys.proved(SITE, "alice", alices.sign(house.passkeys.ask(SITE, "prove", "bob"), HERE))
    with pytest.raises(RefusedError, match="something else"):
        house.passkeys.proved(SITE, "alice", alices.sign(house.passkeys.ask(SITE, "sign in"), HERE))


@pytest.mark.parametrize(
    "made",
    [
        lambda house: Authenticator().make(house.passkeys.ask_for_new(SITE, "bob"), HERE),
        lambda house: Authenticator().make(house.passkeys.ask_for_new(SITE, "alice"), "https://evil.example"),
        lambda house: Authenticator().make(
            house.passkeys.ask_for_new(SITE, "alice"), HERE, site="evil.example"
        ),
        lambda house: Authenticator().make(house.passkeys.ask_for_new(SITE, "alice"), HERE, flags=PRESENT),
        lambda house: "{}",
    ],
    ids=["for another account", "another origin", "another site", "no finger", "nothing"],
)
def test_no_lie_adds_a_passkey(house: House, made: Callable[[House], str]) -> None:
    with pytest.raises(RefusedError):
        house.passkeys.add(SITE, "alice", made(house), "x")
    assert house.passkeys.of("alice") == []


def test_a_passkey_of_one_account_cannot_be_taken_over_by_another(house: House) -> None:
    alices = house.with_passkey("alice")
    with pytest.raises(RefusedError, match="known already"):
        house.passkeys.add(SITE, "bob", alices.make(house.passkeys.ask_for_new(SITE, "bob"), HERE), "x")
    assert not house.passkeys.remove("bob", text(alices.id))
    assert [one.id for one in house.passkeys.of("alice")] == [text(alices.id)]


def test_removed_passkeys_and_those_of_removed_or_invited_accounts_are_gone(house: House) -> None:
    alices, bobs, more = house.with_passkey("alice"), house.with_passkey("bob"), house.with_passkey("bob")
    assert house.passkeys.remove("bob", text(bobs.id))
    house.accounts.remove("alice")
    house.accounts.accept(house.accounts.invite("bob", "viewer"), PASSWORD)  # whoever lost a phone
    for key in (alices, bobs, more):
        with pytest.raises(RefusedError):
            house.passkeys.signed_in(SITE, key.sign(house.passkeys.ask(SITE, "sign in"), HERE))


def test_each_site_has_passkeys_of_its_own(house: House) -> None:
    alices, other = house.with_passkey("alice"), Site(name="localhost", origins=("http://localhost:8080",))
    with pytest.raises(RefusedError):
        house.passkeys.signed_in(other, alices.sign(house.passkeys.ask(other, "sign in"), other.origins[0]))


def test_an_account_has_at_most_ten_and_a_label_that_can_be_shown(house: House) -> None:
    for number in range(passkeys.MOST_OF_AN_ACCOUNT):
        asked = house.passkeys.ask_for_new(SITE, "alice")
        house.passkeys.add(SITE, "alice", Authenticator().make(asked, HERE), f"\x1b\n{number}" + "x" * 100)
    with pytest.raises(InputError, match="at most"):
        house.with_passkey("alice")
    labels = [one.label for one in house.passkeys.of("alice")]
    assert all(label.isprintable() and len(label) == passkeys.MOST_LABEL for label in labels)


def test_a_flood_of_challenges_takes_no_memory(house: House) -> None:
    for _ in range(passkeys.MOST_CHALLENGES + 50):
        asked = house.passkeys.ask(SITE, "sign in")
    assert len(house.passkeys._waiting) == passkeys.MOST_CHALLENGES
    assert house.passkeys.signed_in(SITE, house.with_passkey("alice").sign(asked, HERE)) == "alice"


def test_a_flood_of_challenges_of_whoever_has_not_signed_in_disturbs_nobody_who_has(house: House) -> None:
    key = house.with_passkey("alice")
    proof, more = house.passkeys.ask(SITE, "prove", "alice"), house.passkeys.ask_for_new(SITE, "alice")
    for _ in range(passkeys.MOST_CHALLENGES + 1):
        house.passkeys.ask(SITE, "sign in")
        house.passkeys.ask(SITE, "prove", "bob")
    house.passkeys.proved(SITE, "alice", key.sign(proof, HERE))
    house.passkeys.add(SITE, "alice", Authenticator().make(more, HERE), "another")


@pytest.mark.parametrize(
    ("name", "good"), [("door.local", True), ("localhost", True), ("127.0.0.1", False), ("[::1]", False)]
)
def test_an_address_has_no_passkeys(name: str, good: bool) -> None:
    assert passkeys.bindable(name) is good


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "response", "clientDataJSON",
        "challenge", "userHandle", "signature", "authenticatorData"]), inner, max_size=4),
)  # fmt: skip


@settings(max_examples=30)
@given(NESTED)
def test_whatever_comes_in_place_of_a_credential_is_refused_and_no_more(value: Any) -> None:
    keys = Passkeys(None, lambda: 0.0)  # type: ignore[arg-type]
    for credential in (
        json.dumps(value),
        json.dumps({"response": {"clientDataJSON": text(json.dumps(value).encode())}}),
    ):
        with pytest.raises(RefusedError):
            keys.signed_in(SITE, credential)


OLD = """
CREATE TABLE accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL) STRICT;
CREATE TABLE invitations (token BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, until REAL NOT NULL) STRICT;
CREATE TABLE sessions (id BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
  csrf TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL, proved REAL NOT NULL) STRICT;
CREATE TABLE failures (key TEXT PRIMARY KEY, count INTEGER NOT NULL, last REAL NOT NULL, until REAL NOT NULL) STRICT;
INSERT INTO accounts VALUES ('alice', 'admin', 'x');
"""
"""A file of the version before passkeys."""


def test_a_file_from_before_passkeys_gets_room_for_them_and_a_later_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "accounts.sqlite"
    with sqlite3.connect(file) as before:
        before.executescript(OLD)
    before.close()
    accounts = Accounts(tmp_path, lambda: 1_800_000_000.0)
    kept = Passkeys(accounts, lambda: 1_800_000_000.0)
    kept.add(SITE, "alice", Authenticator().make(kept.ask_for_new(SITE, "alice"), HERE), "phone")
    accounts.close()
    again = Accounts(tmp_path, lambda: 1_800_000_000.0)
    assert again.list() == [("alice", "admin")]
    assert [one.label for one in Passkeys(again, lambda: 0.0).of("alice")] == ["phone"]
    again.close()
    with sqlite3.connect(file) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(InputError, match="newer"):
        Accounts(tmp_path, lambda: 0.0)


def test_text_and_bytes_are_each_other_s_inverse() -> None:
    assert [data(text(bytes([n]) * n)) for n in range(5)] == [
        passkeys._bytes(text(bytes([n]) * n)) for n in range(5)
    ]
    assert passkeys._bytes("ä") == passkeys._bytes("a") == b""
