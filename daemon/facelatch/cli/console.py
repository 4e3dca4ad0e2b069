"""`facelatch console`: the door's web page, and who may sign in to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelatch.cli.certificate import certificate
from facelatch.cli.output import echo
from facelatch.cli.settings import Settings, as_json
from facelatch.errors import InputError, NotInstalledError

if TYPE_CHECKING:
    from facelatch.config.console import ConsoleConfig
    from facelatch.console.accounts import Accounts, Role


@click.group()
def console() -> None:
    """The door's web page: aim, enrol, look.

    \b
    It listens on this machine only, and nobody can sign in before being invited:
      sudo systemctl enable --now facelatch-console
      sudo facelatch console invite alice --role admin
      ssh -L 8080:localhost:8080 door      on your own machine; then open the link
    """


console.add_command(certificate)


@console.command()
@click.pass_obj
def serve(settings: Settings) -> None:
    """Serve the page until stopped (facelatch-console.service does this)."""
    config = settings.config()
    try:
        from facelatch.console import app
    except ImportError as error:
        raise _not_installed(error) from error
    app.serve(config.console, Path(config.control.socket), config.model.path)


@console.command()
@click.option("--listen", type=click.Path(path_type=Path), help="A socket of its own, without systemd.")
@click.pass_obj
def intake(settings: Settings, listen: Path | None) -> None:
    """Look at the pictures of one upload, which come by standard input (facelatch-intake.socket starts this)."""
    from facelatch.app import intake as pictures

    if listen is None:
        with os.fdopen(0, "rb", closefd=False) as reading, os.fdopen(0, "wb", closefd=False) as writing:
            pictures.serve(settings.config(), reading, writing)
    else:
        _accept(listen, settings.path)


def _accept(listen: Path, config: Path | None) -> None:
    """What the socket unit does: a process for each connection, here one after the other."""
    listen.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "facelatch",
        *(["--config", str(config)] if config else []),
        "console",
        "intake",
    ]
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(str(listen))
        listen.chmod(0o600)
        waiting.listen(1)
        while True:
            connection, _ = waiting.accept()
            with connection:
                subprocess.run(command, stdin=connection.fileno(), check=False)


@console.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["viewer", "enroller", "admin"]), default="viewer", show_default=True
)
@as_json
@click.pass_obj
def invite(settings: Settings, name: str, role: Role) -> None:
    """Let NAME choose a password, by a link that works once within 15 minutes.

    Also for whoever has lost a password: the old one is gone when the new one is chosen.
    """
    wanted = settings.config().console
    with closing(_accounts(wanted)) as accounts:
        token = accounts.invite(name, role)
    host, port = wanted.address
    here = "localhost" in wanted.names and host in ("127.0.0.1", "::1")
    shown = "localhost" if here else next(iter(wanted.names), f"[{host}]" if ":" in host else host)
    link = f"{'https' if wanted.certificate else 'http'}://{shown}:{port}/welcome/{token}"
    settings.show(
        {"name": name, "role": role, "link": link}, f"{link}\nfor {name} ({role}), once, within 15 minutes"
    )


@console.command()
@as_json
@click.pass_obj
def accounts(settings: Settings) -> None:
    """List who may sign in."""
    with closing(_accounts(settings.config().console)) as store:
        rows = store.list()
    text = "\n".join(f"{name}  {role}" for name, role in rows) or "nobody: `facelatch console invite NAME`"
    settings.show([{"name": name, "role": role} for name, role in rows], text)


@console.command()
@click.argument("name")
@click.pass_obj
def remove(settings: Settings, name: str) -> None:
    """Take NAME's account away; whoever is signed in by it is not any more."""
    with closing(_accounts(settings.config().console)) as store:
        if not store.remove(name):
            raise InputError(f"no account is called {name!r}", hint="`facelatch console accounts` lists them")
    echo(f"removed {name}")


def _accounts(config: ConsoleConfig) -> Accounts:
    """The accounts' file; root opens it as the user it belongs to, who has to write it afterwards."""
    directory = Path(config.state_directory)
    try:
        from facelatch.console.app import accounts_of

        if os.geteuid() == 0 and directory.is_dir() and directory.stat().st_uid != 0:
            os.setgroups([])
            os.setgid(directory.stat().st_gid)
            os.setuid(directory.stat().st_uid)
        return accounts_of(config)
    except ImportError as error:
        raise _not_installed(error) from error


def _not_installed(error: ImportError) -> NotInstalledError:
    return NotInstalledError(
        f"the console's libraries are not installed: {error.name}",
        hint="the installer brings them (deploy/install.sh --upgrade); in a checkout `sh deploy/venv.sh console`",
    )
