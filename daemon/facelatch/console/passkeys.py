"""Passkeys (WebAuthn): a key in somebody's phone or computer, which asks for a finger or PIN and signs a challenge.

They are bound to the name that the console is asked by, so that no other site can use them; an IP address is no such
name. What is kept lets its reader sign in nowhere: public keys, ids and counters. The library is loaded with the first.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from facelatch.console.accounts import Accounts
from facelatch.console.guard import is_address
from facelatch.errors import InputError

MOST_OF_AN_ACCOUNT, MOST_LABEL = 10, 40
CHALLENGE_SECONDS = 300.0
MOST_CHALLENGES = 256
"""Of one account, and of all who have not signed in together: more that wait at a time push out the oldest of them."""

Purpose = Literal["sign in", "prove", "add"]


class RefusedError(InputError):
    """What came is no proof. Why is not said: whoever has a passkey needs no more, and nobody else shall know more."""


@dataclass(frozen=True, slots=True)
class Site:
    """As which the browser has asked for the console."""

    name: str
    """What passkeys are bound to."""
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of an account's."""

    id: str
    site: str
    label: str
    made: float


@dataclass(frozen=True, slots=True)
class _Challenge:
    purpose: Purpose
    account: str
    until: float
    handle: bytes


def available() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("webauthn") is not None


def bindable(name: str) -> bool:
    """Whether browsers bind a passkey to this name; to an address they do not."""
    return not is_address(name)


class Passkeys:
    """Those of all accounts; safe to use from several threads."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._accounts, self._clock = accounts, clock
        self._waiting: dict[bytes, _Challenge] = {}
        self._lock = threading.Lock()

    def of(self, account: str) -> list[Passkey]:
        """Those of `account`, the oldest first."""
        rows = self._accounts.rows(
            "SELECT id, site, label, made FROM passkeys WHERE account = ? ORDER BY made", account
        )
        return [Passkey(id=_text(row[0]), site=row[1], label=row[2], made=row[3]) for row in rows]

    def remove(self, account: str, id_: str) -> bool:
        """Whether `account` had that one."""
        statement = "DELETE FROM passkeys WHERE id = ? AND account = ? RETURNING id"
        with self._accounts.changing() as change:
            return change(statement, _bytes(id_), account) is not None

    def ask(self, site: Site, purpose: Literal["sign in", "prove"], account: str = "") -> str:
        """What the browser needs to ask for a signature, as JSON. To sign in, any passkey of this site will do."""
        import webauthn

        options = webauthn.generate_authentication_options(
            rp_id=site.name,
            challenge=self._challenge(purpose, account, b""),
            allow_credentials=self._known(account, site) if account else None,
            user_verification=webauthn.helpers.structs.UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    def ask_for_new(self, site: Site, account: str) -> str:
        """What the browser needs to make another passkey of `account`, as JSON."""
        import webauthn
        from webauthn.helpers import structs

        handle = secrets.token_bytes(16)
        options = webauthn.generate_registration_options(
            rp_id=site.name,
            rp_name="Facelatch",
            user_name=account,
            user_id=handle,
            challenge=self._challenge("add", account, handle),
            exclude_credentials=self._known(account, site),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
        )
        return webauthn.options_to_json(options)

    def add(self, site: Site, account: str, credential: str, label: str) -> None:
        """Keeps what the browser has made. Raises RefusedError; InputError when there are too many."""
        label = "".join(c for c in label.strip() if c.isprintable())[:MOST_LABEL] or site.name
        challenge, waited = self._taken(credential, "add", account)
        expected = _expected(site, credential, challenge)
        made = self._verified(lambda library: library.verify_registration_response(**expected))
        with self._accounts.changing() as change:
            (count,) = change("SELECT count(*) FROM passkeys WHERE account = ?", account) or (0,)
            if count >= MOST_OF_AN_ACCOUNT:
                raise InputError(
                    f"an account has at most {MOST_OF_AN_ACCOUNT} passkeys", hint="remove one first"
                )
            if change("SELECT id FROM passkeys WHERE id = ?", made.credential_id) is not None:
                raise RefusedError("that passkey is known already")
            row = (made.credential_id, account, site.name, made.credential_public_key, made.sign_count)
            statement = "INSERT INTO passkeys VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            change(statement, *row, waited.handle, label, self._clock())

    def signed_in(self, site: Site, credential: str) -> str:
        """Whose passkey has signed. Raises RefusedError."""
        challenge, _ = self._taken(credential, "sign in", "")
        return self._signed(site, credential, challenge)

    def proved(self, site: Site, account: str, credential: str) -> None:
        """Returns when a passkey of `account` has signed. Raises RefusedError."""
        challenge, _ = self._taken(credential, "prove", account)
        if self._signed(site, credential, challenge, only=account) != account:
            raise RefusedError("not of this account")

    def _signed(self, site: Site, credential: str, challenge: bytes, only: str = "") -> str:
        id_ = _bytes(_field(credential, "id"))
        row = self._accounts.row(
            "SELECT account, key, count, handle FROM passkeys WHERE id = ? AND site = ?", id_, site.name
        )
        if row is None or (only and row[0] != only):
            raise RefusedError("an unknown passkey")
        account, key, count, handle = row
        told = _field(credential, "response", "userHandle")
        if told and _bytes(told) != handle:
            raise RefusedError("another account's")
        expected = _expected(site, credential, challenge)
        seen = self._verified(lambda library: library.verify_authentication_response(
            **expected, credential_public_key=key, credential_current_sign_count=count
        ))  # fmt: skip
        # A copy that signs at the same time finds the count gone on.
        statement = "UPDATE passkeys SET count = ? WHERE id = ? AND count = ? RETURNING id"
        with self._accounts.changing() as change:
            if change(statement, seen.new_sign_count, id_, count) is None:
                raise RefusedError("used twice at once")
        return str(account)

    def _verified(self, verify: Callable[[Any], Any]) -> Any:
        import webauthn

        try:
            return verify(webauthn)
        except Exception as error:  # what anybody sends makes its parsers raise whatever they like
            raise RefusedError(f"no proof: {type(error).__name__}") from error

    def _known(self, account: str, site: Site) -> list[Any]:
        from webauthn.helpers.structs import PublicKeyCredentialDescriptor

        rows = self._accounts.rows(
            "SELECT id FROM passkeys WHERE account = ? AND site = ?", account, site.name
        )
        return [PublicKeyCredentialDescriptor(id=row[0]) for row in rows]

    def _challenge(self, purpose: Purpose, account: str, handle: bytes) -> bytes:
        challenge, now = secrets.token_bytes(32), self._clock()
        waiting = _Challenge(purpose=purpose, account=account, until=now + CHALLENGE_SECONDS, handle=handle)
        with self._lock:
            self._waiting[challenge] = waiting
            same = [known for known, one in self._waiting.items() if one.account == account]
            if len(same) > MOST_CHALLENGES:
                del self._waiting[same[0]]
        return challenge

    def _taken(self, credential: str, purpose: Purpose, account: str) -> tuple[bytes, _Challenge]:
        """The challenge that was signed, which is good once, for this, and for whom it was made."""
        try:
            signed = json.loads(_bytes(_field(credential, "response", "clientDataJSON")))
            challenge = _bytes(signed["challenge"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RefusedError("no challenge in it") from error
        with self._lock:
            waiting = self._waiting.pop(challenge, None)
        now = self._clock()
        if waiting is None or not waiting.until - CHALLENGE_SECONDS <= now <= waiting.until:
            raise RefusedError("the challenge was used, or is too old")
        if (waiting.purpose, waiting.account) != (purpose, account):
            raise RefusedError("the challenge was for something else")
        return challenge, waiting


def _expected(site: Site, credential: str, challenge: bytes) -> dict[str, Any]:
    """What holds for a new passkey and for every signature: for this challenge, this site, by a finger or PIN."""
    return {
        "credential": credential,
        "expected_challenge": challenge,
        "expected_rp_id": site.name,
        "expected_origin": list(site.origins),
        "require_user_verification": True,
    }


def _field(credential: str, *keys: str) -> str:
    """Text in what the browser has sent; empty when it is not there."""
    try:
        value: Any = json.loads(credential)
        for key in keys:
            value = value[key]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
