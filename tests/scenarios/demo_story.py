"""Tells what `facelatch replay --json --frames` wrote (on standard input), and judges it.

    facelatch replay CLIP --json --frames | python tests/scenarios/demo_story.py robin

Exit code 0 only when a stranger was refused first, then the lock was opened once, for that person, and
was locked again at the end; 1 otherwise.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from facelatch.audit.events import EventKind

Record = dict[str, Any]


def tell(records: Iterable[Record]) -> Iterator[str]:
    """The records in short: frames in a row that came to the same become one line."""
    for _, run in itertools.groupby(records, key=_sameness):
        first, *rest = run
        if first["type"] == "event":
            yield from (f"{one['at']:6.1f} s  >> {_sentence(one)}" for one in (first, *rest))
        else:
            yield _line(first, rest[-1] if rest else first)


def _sameness(record: Record) -> tuple[Any, ...]:
    return (record["type"], *(record.get(key) for key in ("reason", "share", "led", "lock")))


def _sentence(event: Record) -> str:
    return EventKind(event["event"]).spec.template.format_map(event)


def _line(first: Record, last: Record) -> str:
    numbers = str(first["frame"]) if first is last else f"{first['frame']}-{last['frame']}"
    share = "" if first["share"] is None else f"share {first['share']:.0%}"
    return (
        f"{first['at']:6.1f} s  frame {numbers:<9} {first['reason'] or 'not judged':<18} {share:<11}"
        f" LED {first['led']:<12} {first['lock']}"
    )


def faults(records: list[Record], person: str) -> Iterator[str]:
    """What did not go as it should; nothing when all is well."""
    events = [record for record in records if record["type"] == "event"]
    kinds = [event["event"] for event in events]
    unlocked_for = [event["PERSON"] for event in events if event["event"] == EventKind.DOOR_UNLOCKED]
    levels = [level for level, _ in itertools.groupby(r["lock"] for r in records if r["type"] == "frame")]
    if EventKind.FAULT in kinds:
        yield "the daemon reported a fault"
    if unlocked_for != [person]:
        yield f"unlocked for {unlocked_for or 'nobody'} instead of once for {person}"
    elif EventKind.VISIT_REFUSED not in kinds[: kinds.index(EventKind.DOOR_UNLOCKED)]:
        yield "the stranger who came first was not refused"
    if levels != ["locked", "unlocked", "locked"]:
        yield f"the lock went {' -> '.join(levels) or 'nowhere'}"


@click.command(help=__doc__)
@click.argument("person")
def main(person: str) -> None:
    """Reads, tells, judges; the help text is the head of this file."""
    records: list[Record] = []
    for line in tell(_noted(sys.stdin, records)):
        click.echo(line)
    wrong = list(faults(records, person))
    for fault in wrong:
        click.echo(f"NOT AS IT SHOULD BE: {fault}")
    if not wrong:
        click.echo(
            f"As it should be: the stranger stayed outside, {person} came in, the door is locked again."
        )
    sys.exit(1 if wrong else 0)


def _noted(lines: Iterable[str], records: list[Record]) -> Iterator[Record]:
    for line in lines:
        records.append(json.loads(line))
        yield records[-1]


if __name__ == "__main__":
    main()
