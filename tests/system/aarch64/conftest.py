"""The tests in this folder compare what run.sh has had written, and are none without it."""

import os

if "FACELATCH_AARCH64_RESULTS" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
