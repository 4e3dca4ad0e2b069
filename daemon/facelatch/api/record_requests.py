"""Requests that the ledger answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from facelatch.api.request import AnyRight, Name, Request

Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
"""Unix time, seconds."""

PERSON_NUMBER = "#"
"""Before the number of somebody who may have no name any more."""


class History(Request):
    """Who came when, and what else happened: the newest first, a page at a time."""

    right = "history"
    action: Literal["history"]
    since: Moment | None = None
    until: Moment | None = None
    person: Name | None = None
    """A name, or # and the number of somebody who may be forgotten already."""
    refused: bool = False
    """Only what tells why somebody did not come in."""
    before: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """`next` of the page before."""
    most: Annotated[int, Field(ge=1, le=250)] = 250


class LedgerRows(Request):
    """Rows as they lie in the ledger, with their links, in order: for whoever keeps a copy elsewhere."""

    right = "ledger"
    action: Literal["ledger"]
    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Only rows after this one."""
    most: Annotated[int, Field(ge=1, le=250)] = 250
    names: bool = False
    """Also the names of those whom the rows are about."""

    def needs(self) -> set[AnyRight]:
        """Names are told by the history, too."""
        more: set[AnyRight] = {"history"} if self.names else set()
        return super().needs() | more


class Report(Request):
    """Everything that is stored about one person."""

    right = "export"
    action: Literal["report"]
    name: Name

    def needs(self) -> set[AnyRight]:
        """It tells when the person came, too."""
        return super().needs() | {"history"}


class Forget(Request):
    """Removes a person, with a receipt."""

    right = "people.write"
    action: Literal["forget"]
    name: Name
