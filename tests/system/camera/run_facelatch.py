"""The installed `facelatch`, with libcamera's virtual camera for a camera: `run_facelatch.py ARGUMENTS`."""

import virtual_camera  # noqa: F401  (before anything opens a camera)

from facelatch.cli.root import main

main()
