"""Facelatch: a door that knows its people."""

__version__ = "0.2.0"
