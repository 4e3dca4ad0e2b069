"""What all pages share: who asks, what may be done (checked here, for every route), how the answer is drawn."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from facelatch.config.shipped import shipped_file
from facelatch.console import words
from facelatch.console.accounts import Accounts, Role, Session
from facelatch.console.door import Door
from facelatch.console.guard import name_in
from facelatch.console.passkeys import Passkeys, bindable
from facelatch.errors import ControlError, FacelatchError, NotAllowedError

COOKIE = "__Host-facelatch"
"""Browsers take it over TLS, or from the machine itself, and for no other host and path."""

MOST_FORM_BYTES = 16 * 1024

MOST_PICTURES, MOST_PICTURE_BYTES, MOST_UPLOAD_BYTES = 16, 16 * 1024 * 1024, 64 * 1024 * 1024
"""Of one form, of each, and of all together: they are held in memory, as faces are written to no card."""

UPLOAD_SECONDS = 120.0
"""For all of them to come: others who upload wait so long."""

HEIC = importlib.util.find_spec("pillow_heif") is not None
"""Whether the intake, which has the same packages, takes such pictures. Without it phones are asked for JPEG."""

MultiPartParser.spool_max_size = MOST_UPLOAD_BYTES  # what is larger goes to a file as it comes, before it is refused

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
    passkeys: Passkeys | None = None
    """None: none are taken."""
    secure: bool = False
    """Whether it speaks TLS itself."""
    manifest: Path = field(default_factory=lambda: shipped_file("models", "siamese.json"))
    """Of the model that recognises people."""
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
    files: Sequence[tuple[str, BinaryIO]] = ()
    """Uploaded pictures, by the names that their senders gave them; closed when the page is made."""

    @property
    def id(self) -> str:
        """Of the session, as the browser has it."""
        return self.request.cookies.get(COOKIE, "")

    @property
    def address(self) -> str:
        """Where the browser is."""
        return self.request.client.host if self.request.client else ""

    @property
    def passkeys(self) -> bool:
        """Whether passkeys are taken under the name that it was asked by."""
        return self.console.passkeys is not None and bindable(name_in(self.request.headers.get("host", "")))

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
            passkeys=self.passkeys,
            most_pictures=MOST_PICTURES,
            heic=HEIC,
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
        return go(f"/sign-in?next={_way_back(request)}" if request.method == "GET" else "/sign-in")
    if role is not None and session is not None and not session.may(role):
        return visit.refuse("error.forbidden", 403)
    if request.method == "POST":
        if files:
            async with request.app.state.uploading:
                return await _uploaded(visit, page, proof=proof)
        try:
            form = await _form(request)
        except _TooLargeError:
            return visit.refuse("error.too_large", 413)
        visit = replace(visit, form=form)
    return await run_in_threadpool(_answered, page, visit, role is not None, proof)


async def _uploaded(visit: Visit, page: Page, *, proof: bool) -> Response:
    """The answer to a form with pictures."""
    form: FormData | None = None
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            form = await _upload(visit.request)
        visit = replace(visit, form=_texts(form), files=_pictures(form))
        return await run_in_threadpool(_answered, page, visit, True, proof)
    except _TooLargeError:
        return visit.refuse("error.too_large", 413)
    except TimeoutError:
        return visit.refuse("error.too_slow", 408)
    finally:
        if form is not None:
            await form.close()


def _answered(page: Page, visit: Visit, ours: bool, proof: bool) -> Response:
    """The answer; `ours`: a form has to be of this session."""
    session = visit.session
    if visit.request.method == "POST" and ours and session and visit.form.get("csrf") != session.csrf:
        return visit.refuse("error.stale", 403)
    if proof and session is not None and not session.proved:
        return go(f"/prove?next={_way_back(visit.request)}")
    try:
        return page(visit)
    except FacelatchError as error:
        code = 403 if isinstance(error, NotAllowedError) else 503 if isinstance(error, ControlError) else 400
        return visit.draw("error.html", "error.title", code=code, fault=str(error), hint=error.hint)


def _way_back(request: Request) -> str:
    """Where it goes on after signing in or a proof: the page wanted; if a form or a script asked, the one it is on."""
    wanted = request.method == "GET" and request.headers.get("sec-fetch-dest", "document") == "document"
    there = request.headers.get("referer", "").partition(request.headers["host"])[2]
    return quote(inside(request.url.path if wanted else there))


class _TooLargeError(Exception):
    """More than a form may hold."""


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form as text."""
    size = 0
    chunks = []
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_FORM_BYTES:
            raise _TooLargeError
        chunks.append(chunk)
    try:
        return dict(parse_qsl(b"".join(chunks).decode(), keep_blank_values=True, max_num_fields=32))
    except ValueError:
        return {}


async def _upload(request: Request) -> FormData:
    """A form with pictures, which lie in memory while they come."""
    declared = request.headers.get("content-length", "")
    if not declared.isdigit() or int(declared) > MOST_UPLOAD_BYTES:
        raise _TooLargeError
    try:
        return await request.form(max_files=MOST_PICTURES, max_fields=16, max_part_size=MOST_FORM_BYTES)
    except HTTPException as error:
        raise _TooLargeError from error


def _texts(form: FormData) -> dict[str, str]:
    return {key: value for key, value in form.multi_items() if isinstance(value, str)}


def _pictures(form: FormData) -> list[tuple[str, BinaryIO]]:
    sent = [(key, value) for key, value in form.multi_items() if not isinstance(value, str)]
    if any((value.size or 0) > MOST_PICTURE_BYTES for _, value in sent):
        raise _TooLargeError
    return [(value.filename or key, value.file) for key, value in sent if value.size]
