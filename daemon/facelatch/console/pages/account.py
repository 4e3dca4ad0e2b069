"""The account of whoever has signed in: its passkeys; signing in, and proving once more who it is, by them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console import guard, words
from facelatch.console.pages.page import Visit, go, inside, route
from facelatch.console.pages.signing import prove_again, sign_in_again, with_session
from facelatch.console.passkeys import Passkeys, RefusedError, Site, bindable
from facelatch.errors import InputError


def routes() -> list[Route]:
    """Those of this module."""
    return [
        route("/account", account, "viewer", proof=True),
        route("/account/passkeys/new", new, "viewer", proof=True),
        route("/account/passkeys", add, "viewer", post=True, proof=True),
        route("/account/passkeys/remove", remove, "viewer", post=True, proof=True),
        route("/sign-in/passkey", ask_to_sign_in, None),
        route("/sign-in/passkey", signed_in, None, post=True),
        route("/prove/passkey", ask_to_prove, "viewer"),
        route("/prove/passkey", proved, "viewer", post=True),
    ]


def account(visit: Visit, *, fault: str | None = None) -> Response:
    """Who it is, and its passkeys."""
    kept = visit.console.passkeys.of(visit.account) if visit.console.passkeys else []
    return visit.draw("account.html", "account.title", code=400 if fault else 200, fault=fault, kept=kept)


def new(visit: Visit) -> Response:
    """What the browser needs to make a passkey."""
    passkeys, site = _asked(visit)
    return _json(passkeys.ask_for_new(site, visit.account))


def add(visit: Visit) -> Response:
    """Keeps what it has made."""
    passkeys, site = _asked(visit)
    try:
        passkeys.add(site, visit.account, visit.form.get("credential", ""), visit.form.get("label", ""))
    except RefusedError:
        return account(visit, fault=words.speaker(visit.language)("passkey.refused"))
    return go("/account")


def remove(visit: Visit) -> Response:
    """Forgets one; also where passkeys are not taken any more."""
    if visit.console.passkeys is not None:
        visit.console.passkeys.remove(visit.account, visit.form.get("id", ""))
    return go("/account")


def ask_to_sign_in(visit: Visit) -> Response:
    """What the browser needs to sign in."""
    passkeys, site = _asked(visit)
    return _json(passkeys.ask(site, "sign in"))


def signed_in(visit: Visit) -> Response:
    """A session, or the form again."""
    passkeys, site = _asked(visit)
    try:
        name = passkeys.signed_in(site, visit.form.get("credential", ""))
    except RefusedError:
        return sign_in_again(visit, fault=words.speaker(visit.language)("passkey.refused"))
    visit.console.accounts.sign_out(visit.id)  # whoever this browser was before
    return with_session(go(inside(visit.form.get("next"))), visit.console.accounts.begin(name))


def ask_to_prove(visit: Visit) -> Response:
    """What the browser needs before a change."""
    passkeys, site = _asked(visit)
    return _json(passkeys.ask(site, "prove", visit.account))


def proved(visit: Visit) -> Response:
    """Back to where the change was asked for, or the form again."""
    passkeys, site = _asked(visit)
    try:
        passkeys.proved(site, visit.account, visit.form.get("credential", ""))
    except RefusedError:
        return prove_again(visit, fault=words.speaker(visit.language)("passkey.refused"))
    visit.console.accounts.note_proof(visit.id)
    return go(inside(visit.form.get("next")))


def _asked(visit: Visit) -> tuple[Passkeys, Site]:
    """The passkeys, and as which site they are asked for. Raises InputError where there can be none."""
    host = visit.request.headers["host"]
    name = guard.name_in(host).lower()
    if visit.console.passkeys is None or not bindable(name):
        raise InputError(
            words.speaker(visit.language)("passkey.none"), hint=words.speaker(visit.language)("passkey.where")
        )
    return visit.console.passkeys, Site(name=name, origins=guard.origins(host, secure=visit.console.secure))


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
