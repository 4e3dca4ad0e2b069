"""What all pages share: who asks, what may be done (checked here, for every route), how the answer is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from facelatch.console import words
from facelatch.console.accounts import Accounts, Role, Session
from facelatch.console.door import Door
from facelatch.errors import ControlError, FacelatchError, NotAllowedError

COOKIE = "__Host-facelatch"
"""Browsers take it over TLS, or from the machine itself, and for no other host and path."""

MOST_FORM_BYTES = 16 * 1024

MOST_PICTURES, MOST_PICTURE_BYTES = 16, 16 * 1024 * 1024
"""Of one form, and of each."""

PAGES: Sequence[tuple[str, str, Role]] = (
    ("/", "door", "viewer"),
    ("/aim", "aim", "enroller"),
    ("/people", "people", "viewer"),
    ("/history", "history", "viewer"),
    ("/settings", "settings", "admin"),
)
"""The menu, each with who sees it."""

_HOME = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Console:
    """What pages are made of."""

    accounts: Accounts
    door: Door
    intake: Path | None = None
    """Where pictures are looked at; None: none are taken."""
    enrolments: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By account: the lease of the enrolment that it has begun, and whose."""
    templates: Environment = field(
        default_factory=lambda: Environment(
            loader=FileSystemLoader(_HOME / "templates"), autoescape=True, undefined=StrictUndefined
        )
    )


@dataclass(frozen=True)
class Visit:
    """One request, checked."""

    console: Console
    request: Request
    session: Session | None
    form: Mapping[str, str]
    files: Sequence[tuple[str, bytes]] = ()
    """Uploaded pictures, by the names that their senders gave them."""

    @property
    def id(self) -> str:
        """Of the session, as the browser has it."""
        return self.request.cookies.get(COOKIE, "")

    @property
    def address(self) -> str:
        """Where the browser is."""
        return self.request.client.host if self.request.client else ""

    @property
    def account(self) -> str:
        """Whoever has signed in; only where the route asks for a role."""
        assert self.session is not None
        return self.session.account

    @property
    def language(self) -> str:
        """The reader's."""
        return words.chosen(self.request.headers.get("accept-language", ""))

    def ask(self, action: str, bulk: bytes | None = None, **fields: Any) -> dict[str, Any]:
        """Asks the daemon on behalf of the account. Raises FacelatchError."""
        return self.console.door.ask(self.account, action, bulk, **fields)

    def part(self, template: str, **values: Any) -> str:
        """A template as HTML."""
        say = words.speaker(self.language)
        csrf = self.session.csrf if self.session else ""
        return self.console.templates.get_template(template).render(
            say=say,
            language=self.language,
            session=self.session,
            csrf=Markup('<input type="hidden" name="csrf" value="{}">').format(csrf),
            pages=[(path, key) for path, key, role in PAGES if self.session and self.session.may(role)],
            here=self.request.url.path,
            uploads=self.console.intake is not None,
            most_pictures=MOST_PICTURES,
            **values,
        )

    def draw(self, template: str, title: str, *, code: int = 200, **values: Any) -> Response:
        """A whole page; `title` is a key of the words, or text that is none."""
        shown = (
            words.speaker(self.language)(title, **values)
            if title in words.catalogue()[words.FALLBACK]
            else title
        )
        values = {"fault": None, "hint": None, "title": shown, **values}
        return HTMLResponse(self.part(template, **values), code)

    def refuse(self, key: str, code: int) -> Response:
        """An error page."""
        return self.draw("error.html", "error.title", code=code, fault=words.speaker(self.language)(key))


Page = Callable[[Visit], Response]


def go(path: str) -> Response:
    """To another page, with GET."""
    return RedirectResponse(path, 303)


def inside(path: str | None) -> str:
    """`path` if it is one of this console, else the first page: nobody is sent elsewhere by a link."""
    return path if path and path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def route(
    path: str, page: Page, role: Role | None, *, post: bool = False, proof: bool = False, files: bool = False
) -> Route:
    """`page` under `path`. `role`: who may; None: anybody, before signing in. `proof`: the password has to be fresh.

    `files`: pictures may come with the form.
    """

    async def answer(request: Request) -> Response:
        return await checked(request, page, role, proof=proof, files=files)

    return Route(path, answer, methods=["POST"] if post else ["GET"], name=f"{role}:{path}")


async def checked(
    request: Request,
    page: Page,
    role: Role | None,
    *,
    proof: bool = False,
    files: bool = False,
    only_open: bool = False,
) -> Response:
    """The answer of `page`, or why there is none. `only_open`: the request comes by itself, and is no sign of life."""
    console: Console = request.app.state.console
    find = console.accounts.watching if only_open else console.accounts.session
    session = await run_in_threadpool(find, request.cookies.get(COOKIE, ""))
    visit = Visit(console=console, request=request, session=session, form={})
    if role is not None and session is None:
        return go(f"/sign-in?next={quote(request.url.path)}" if request.method == "GET" else "/sign-in")
    if role is not None and session is not None and not session.may(role):
        return visit.refuse("error.forbidden", 403)
    if request.method == "POST":
        try:
            form, pictures = await (_upload(request) if files else _form(request))
        except _TooLargeError:
            return visit.refuse("error.too_large", 413)
        if session is not None and form.get("csrf") != session.csrf and role is not None:
            return visit.refuse("error.stale", 403)
        visit = Visit(console=console, request=request, session=session, form=form, files=pictures)
    if proof and session is not None and not session.proved:
        back = request.headers.get("referer", "").partition(request.headers["host"])[2]
        return go(f"/prove?next={quote(inside(back))}")
    return await run_in_threadpool(_answered, page, visit)


def _answered(page: Page, visit: Visit) -> Response:
    try:
        return page(visit)
    except FacelatchError as error:
        code = 403 if isinstance(error, NotAllowedError) else 503 if isinstance(error, ControlError) else 400
        return visit.draw("error.html", "error.title", code=code, fault=str(error), hint=error.hint)


class _TooLargeError(Exception):
    """More than a form may hold."""


Form = tuple[dict[str, str], Sequence[tuple[str, bytes]]]


async def _form(request: Request) -> Form:
    """The fields of a form as text."""
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_FORM_BYTES:
            raise _TooLargeError
        chunks.append(chunk)
    try:
        return dict(parse_qsl(b"".join(chunks).decode(), keep_blank_values=True, max_num_fields=32)), ()
    except ValueError:
        return {}, ()


async def _upload(request: Request) -> Form:
    """The fields of a form with pictures; these lie in files without a name while they come."""
    declared = request.headers.get("content-length", "")
    if not declared.isdigit() or int(declared) > MOST_PICTURES * MOST_PICTURE_BYTES + MOST_FORM_BYTES:
        raise _TooLargeError
    fields, pictures = {}, []
    try:
        async with request.form(
            max_files=MOST_PICTURES, max_fields=16, max_part_size=MOST_FORM_BYTES
        ) as form:
            for key, value in form.multi_items():
                if isinstance(value, str):
                    fields[key] = value
                elif (value.size or 0) > MOST_PICTURE_BYTES:
                    raise _TooLargeError
                elif value.size:
                    pictures.append((value.filename or key, await value.read()))
    except HTTPException as error:
        raise _TooLargeError from error
    return fields, pictures
