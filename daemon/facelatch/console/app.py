"""The console put together, and served."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facelatch.config.console import ConsoleConfig
from facelatch.config.shipped import model_file
from facelatch.console import live, picture
from facelatch.console.accounts import Accounts
from facelatch.console.door import Door
from facelatch.console.guard import App, Guard
from facelatch.console.pages import (
    account,
    aim,
    door,
    enrolment,
    history,
    model,
    people,
    settings,
    signing,
    upload,
)
from facelatch.console.pages.page import Console, Visit
from facelatch.console.passkeys import Passkeys, available
from facelatch.errors import ConfigError


def accounts_of(config: ConsoleConfig) -> Accounts:
    """The accounts as the configuration has them. Raises ConfigError where they cannot be kept."""
    directory = Path(config.state_directory)
    try:
        return Accounts(directory, time.time, hours=config.session_hours, minutes=config.idle_minutes)
    except OSError as error:
        raise ConfigError(
            f"{directory}: {error.strerror or error}",
            hint="as root, or as the console's own user facelatch-console",
        ) from error


def routes() -> list[Route]:
    """All pages, beside the files that are as they are."""
    return [
        *live.routes(),
        *picture.routes(),
        *signing.routes(),
        *account.routes(),
        *door.routes(),
        *aim.routes(),
        *enrolment.routes(),
        *history.routes(),
        *upload.routes(),
        *people.routes(),
        *settings.routes(),
        *model.routes(),
    ]


def application(console: Console, config: ConsoleConfig) -> App:
    """All pages behind the guard."""
    app = Starlette(
        routes=[Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")), *routes()],
        exception_handlers={404: _not_found, 405: _not_found},
    )
    app.state.console, app.state.streams, app.state.pictures = console, 0, 0
    app.state.uploading = asyncio.Semaphore(1)
    return Guard(app, config.names, secure=bool(config.certificate))


async def _not_found(request: Request, _error: Exception) -> Response:
    console: Console = request.app.state.console
    visit = Visit(console=console, request=request, session=None, form={})
    status = _error.status_code if isinstance(_error, HTTPException) else 404
    return visit.refuse("error.not_found", status)


def serve(config: ConsoleConfig, socket: Path, model_path: str) -> None:
    """Serves until it is told to stop; `model_path` is the configuration's `model.path`.

    Raises ConfigError for a certificate that cannot be read.
    """
    intake = Path(config.intake) if config.intake else None
    accounts = accounts_of(config)
    console = Console(
        accounts=accounts,
        door=Door(socket),
        intake=intake,
        passkeys=Passkeys(accounts, time.time) if config.passkeys and available() else None,
        secure=bool(config.certificate),
        manifest=model_file(model_path, "siamese.tflite").with_suffix(".json"),
    )
    host, port = config.address
    try:
        settings_ = uvicorn.Config(
            application(console, config),
            host=host,
            port=port,
            ssl_certfile=config.certificate or None,
            ssl_keyfile=config.key or None,
            lifespan="off",
            log_level="warning",
            access_log=False,  # paths hold names of people
            server_header=False,
            proxy_headers=False,  # nobody stands in front who may say where a request comes from
            limit_concurrency=64,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=16 * 1024,
        )
        settings_.load()
    except OSError as error:
        raise ConfigError(
            f"console.certificate, console.key: {error.strerror or error}",
            hint="both are PEM files it may read",
        ) from error
    if settings_.ssl is not None:
        follow(settings_.ssl, Path(config.certificate), Path(config.key))
    uvicorn.Server(settings_).run()


def follow(context: ssl.SSLContext, certificate: Path, key: Path, *, every: float = 600.0) -> threading.Event:
    """A thread that takes a renewed certificate without a restart; until the event it returns is set.

    One that cannot be read changes nothing: the old one goes on, and is looked for again.
    """
    over, known = threading.Event(), _age(certificate)

    def look() -> None:
        nonlocal known
        while not over.wait(every):
            with suppress(OSError):  # ssl.SSLError is one
                if (age := _age(certificate)) != known:
                    # First where nothing is served from: half of a pair would spoil what is.
                    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
                    context.load_cert_chain(certificate, key)
                    known = age

    threading.Thread(target=look, name="certificate", daemon=True).start()
    return over


def _age(file: Path) -> int:
    return file.stat().st_mtime_ns
