"""Signing in and out, the first password by an invitation, and the password once more before a change."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facelatch.console import passwords, words
from facelatch.console.accounts import ThrottledError
from facelatch.console.pages.page import COOKIE, Visit, go, inside, route
from facelatch.errors import InputError


def routes() -> list[Route]:
    """Those of this module."""
    return [
        route("/sign-in", sign_in, None),
        route("/sign-in", signed_in, None, post=True),
        route("/welcome/{token}", welcome, None),
        route("/welcome/{token}", welcomed, None, post=True),
        route("/sign-out", sign_out, "viewer", post=True),
        route("/prove", prove, "viewer"),
        route("/prove", proved, "viewer", post=True),
    ]


def sign_in(visit: Visit) -> Response:
    """The form."""
    if visit.session is not None:
        return go("/")
    return sign_in_again(visit, next_=inside(visit.request.query_params.get("next")), status=200)


def signed_in(visit: Visit) -> Response:
    """A session, or the form again."""
    name = visit.form.get("name", "").strip().lower()
    say = words.speaker(visit.language)
    try:
        id_ = visit.console.accounts.sign_in(name, visit.form.get("password", ""), visit.address)
    except ThrottledError as error:
        fault = say("sign_in.wait", seconds=round(error.seconds))
        return sign_in_again(visit, name=name, fault=fault, status=429)
    if id_ is None:
        return sign_in_again(visit, name=name, fault=say("sign_in.wrong"))
    visit.console.accounts.sign_out(visit.id)  # whoever this browser was before
    return with_session(go(inside(visit.form.get("next"))), id_)


def welcome(visit: Visit) -> Response:
    """The form for the first password, to whoever has the link."""
    name = visit.console.accounts.invited(visit.request.path_params["token"])
    if name is None:
        return visit.refuse("sign_in.gone", 404)
    return visit.draw("welcome.html", "sign_in.welcome", name=name, least=passwords.LEAST)


def welcomed(visit: Visit) -> Response:
    """The account with the password, signed in; or the form again."""
    token, password = visit.request.path_params["token"], visit.form.get("password", "")
    name = visit.console.accounts.invited(token)
    if name is None:
        return visit.refuse("sign_in.gone", 404)
    try:
        if password != visit.form.get("repeat"):
            raise InputError(words.speaker(visit.language)("sign_in.unequal"))
        id_ = visit.console.accounts.accept(token, password)
    except InputError as error:
        return visit.draw(
            "welcome.html",
            "sign_in.welcome",
            code=400,
            name=name,
            least=passwords.LEAST,
            fault=str(error),
            hint=error.hint,
        )
    visit.console.accounts.sign_out(visit.id)  # whoever this browser was before
    return with_session(go("/"), id_)


def sign_out(visit: Visit) -> Response:
    """Ends the session."""
    visit.console.accounts.sign_out(visit.id)
    answer = go("/sign-in")
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
    return answer


def prove(visit: Visit) -> Response:
    """The form that asks for the password once more."""
    return prove_again(visit, next_=inside(visit.request.query_params.get("next")), status=200)


def proved(visit: Visit) -> Response:
    """Back to where the change was asked for; or the form again."""
    say = words.speaker(visit.language)
    try:
        if visit.console.accounts.prove(visit.id, visit.form.get("password", ""), visit.address):
            return go(inside(visit.form.get("next")))
    except ThrottledError as error:
        return prove_again(visit, fault=say("sign_in.wait", seconds=round(error.seconds)), status=429)
    return prove_again(visit, fault=say("sign_in.wrong"))


def prove_again(
    visit: Visit, *, next_: str | None = None, fault: str | None = None, status: int = 403
) -> Response:
    """The form that asks for the password once more, on the way to `next_`, by default what the form came with."""
    passkeys = visit.console.passkeys
    return visit.draw(
        "prove.html",
        "sign_in.prove",
        code=status,
        next=next_ or inside(visit.form.get("next")),
        fault=fault,
        has_passkey=passkeys is not None and bool(passkeys.of(visit.account)),
    )


def sign_in_again(
    visit: Visit, *, next_: str | None = None, name: str = "", fault: str | None = None, status: int = 403
) -> Response:
    """The form to sign in, on the way to `next_`, by default what the form came with."""
    next_ = next_ or inside(visit.form.get("next"))
    return visit.draw("sign_in.html", "sign_in.title", code=status, name=name, next=next_, fault=fault)


def with_session(answer: Response, id_: str) -> Response:
    """The answer, which lets the browser go on as whoever has signed in."""
    answer.set_cookie(COOKIE, id_, path="/", secure=True, httponly=True, samesite="strict")
    return answer
