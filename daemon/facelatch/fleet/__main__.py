"""`python -m facelatch.fleet`, which `facelatch bridge` becomes once it has read the configuration."""

from __future__ import annotations

import os
import sys

from facelatch.errors import FacelatchError
from facelatch.fleet.bridge import run
from facelatch.fleet.settings import loads


def main() -> int:
    """Serves; the exit code is that of the error."""
    try:
        run(loads(os.environ.pop("FACELATCH_BRIDGE")))
    except FacelatchError as error:
        print(f"facelatch bridge: {error}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
