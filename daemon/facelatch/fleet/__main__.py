"""`python -m facelatch.fleet`, which `facelatch bridge` becomes once it has read the configuration."""

from __future__ import annotations

import os
import sys

from facelatch.errors import FacelatchError
from facelatch.fleet.bridge import run
from facelatch.fleet.settings import loads
from facelatch.streams import hold_nothing_back, say


def main() -> int:
    """Serves; the exit code is that of the error."""
    hold_nothing_back()
    try:
        run(loads(os.environ.pop("FACELATCH_BRIDGE")))
    except FacelatchError as error:
        say(f"facelatch bridge: {error}\nhint: {error.hint}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
