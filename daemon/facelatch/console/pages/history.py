"""Who came when, why somebody did not come in, and how the door moved: from the ledger, with the catalogue's words."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from facelatch.audit.spreadsheet import cell
from facelatch.console import words
from facelatch.console.pages.page import Visit, route
from facelatch.control.client import every_page
from facelatch.errors import InputError

DAYS = 14
"""Of the charts."""

MOST_ROWS, PAGE_ROWS = 10_000, 100

GRANTED, REFUSED = "visit.granted", "visit.refused"

_NUMBER = re.compile("[0-9]{1,18}")


def routes() -> list[Route]:
    """Those of this module."""
    return [route("/history", history, "viewer"), route("/history.csv", table, "viewer")]


def history(visit: Visit) -> Response:
    """A page of events, newest first, and two charts of the last days."""
    wanted = _wanted(visit)
    before = visit.request.query_params.get("before", "")
    paging: dict[str, Any] = {"before": int(before)} if _NUMBER.fullmatch(before) else {}
    reply = visit.ask("history", **wanted, **paging, most=PAGE_ROWS)
    asked = {key: visit.request.query_params.get(key, "") for key in ("person", "day", "refused")}
    older = {**{key: value for key, value in asked.items() if value}, "before": reply["next"]}
    return visit.draw(
        "history.html",
        "page.history",
        events=reply["events"],
        older=urlencode(older) if reply["next"] is not None else None,
        csv=urlencode({key: value for key, value in asked.items() if value}),
        asked=asked,
        **({"days": None, "reasons": None} if paging or asked["day"] else charts(_recent(visit, wanted))),
        why=partial(why, visit.language),
    )


def table(visit: Visit) -> Response:
    """The same as CSV, up to MOST_ROWS."""
    written = io.StringIO()
    sheet = csv.writer(written)
    sheet.writerow(("time", "event", "person", "text"))
    for row in _rows(visit, _wanted(visit)):
        sheet.writerow([cell(row[key]) for key in ("time", "event", "person", "text")])
    headers = {"content-disposition": 'attachment; filename="history.csv"'}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def charts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Visits of each of the last days, oldest first, and why people were refused, most frequent first."""
    granted, refused = Counter[str](), Counter[str]()
    reasons = Counter[str]()
    for row in rows:
        if row["event"] == GRANTED:
            granted[row["time"][:10]] += 1
        elif row["event"] == REFUSED:
            refused[row["time"][:10]] += 1
            reasons[str(row["fields"].get("REASON", ""))] += 1
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in reversed(range(DAYS))]
    most = max((granted[day] + refused[day] for day in days), default=0)
    counted = [{"day": day, "granted": granted[day], "refused": refused[day]} for day in days]
    return {"days": {"rows": counted, "most": most} if most else None, "reasons": reasons.most_common(8)}


def why(language: str, reason: str) -> str:
    """A code of the ledger in words; that of a newer daemon as it is."""
    key = f"why.{reason}"
    return words.speaker(language)(key) if key in words.catalogue()[words.FALLBACK] else reason.replace("_", " ")


def _recent(visit: Visit, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    since = (datetime.now(UTC) - timedelta(days=DAYS)).timestamp()
    return list(_rows(visit, {**wanted, "since": since}))


def _rows(visit: Visit, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
    told = 0
    for page in every_page(lambda begin: visit.ask("history", **wanted, **begin), "before"):
        yield from page["events"]
        told += len(page["events"])
        if told >= MOST_ROWS:
            return


def _wanted(visit: Visit) -> dict[str, Any]:
    """The filters of the address, as the daemon takes them. Raises InputError for a day that is none."""
    asked = visit.request.query_params
    wanted: dict[str, Any] = {"refused": True} if asked.get("refused") else {}
    if asked.get("person"):
        wanted["person"] = asked["person"]
    if asked.get("day"):
        try:
            day = datetime.fromisoformat(asked["day"]).replace(tzinfo=UTC)
            wanted |= {"since": day.timestamp(), "until": (day + timedelta(days=1)).timestamp()}
        except (ValueError, OverflowError) as error:
            raise InputError(f"{asked['day']!r} is no day", hint="such as 2026-12-31") from error
    return wanted
