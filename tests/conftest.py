"""For every test."""

from __future__ import annotations

from hypothesis import settings

# A deadline measures the machine, not the code: the first example pays for imports, a busy runner for the rest.
settings.register_profile("facelatch", deadline=None)
settings.load_profile("facelatch")
