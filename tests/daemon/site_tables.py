"""The rows of a table in a module's docstring, for tests that walk them."""

from __future__ import annotations


def documented(module: object) -> list[tuple[str, str]]:
    """(state, input) of every row; a row that only goes on the one above is joined to it."""
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("|")][2:]
    rows: list[tuple[str, str]] = []
    for state, given in ((row[1].strip(), row[2].strip()) for row in (line.split("|") for line in lines)):
        if not given and rows:
            rows[-1] = (f"{rows[-1][0]} {state}", rows[-1][1])
        else:
            rows.append((state, given))
    return rows
