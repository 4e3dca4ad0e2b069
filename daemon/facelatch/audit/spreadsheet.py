"""Events in a table for a spreadsheet."""

from __future__ import annotations


def cell(value: object) -> str:
    """`value` as text in a file of CSV; empty for None.

    What a spreadsheet would take for a formula gets a quote in front: names of people are what anybody has typed.
    """
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
