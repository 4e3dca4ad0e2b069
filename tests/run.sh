#!/bin/sh
# All tests that need neither root nor a Raspberry Pi: makes .venv, then runs the fast ones, then the slow ones, each
# shared among the processors (-n 0 keeps them in one process).
#
#   sh tests/run.sh [PYTEST ARGUMENTS]      PYTHON=python3.13 chooses the interpreter
#
# Ends with pytest's exit code, after a table of the minutes it took. Tests that want the shared data folder beside the
# checkout, or a library this machine lacks, are skipped and say so.
set -eu
cd -- "$(dirname -- "$0")/.."
# shellcheck source=tests/laps.sh
. tests/laps.sh
trap print_laps EXIT

lap "set-up" sh deploy/venv.sh train,dev
python=.venv/bin/python

# systemd-python has no wheel: it is built where its library is, and its tests are skipped where it is not.
if ! "$python" -I -c 'import systemd.journal' 2>/dev/null && pkg-config --exists libsystemd 2>/dev/null; then
    "$python" -I -m pip install -qq --disable-pip-version-check --editable ".[systemd]" >.venv/pip-systemd.log 2>&1 ||
        echo "run.sh: systemd-python cannot be built here (.venv/pip-systemd.log); its tests are skipped" >&2
fi

# Nobody wants to wait for the slow ones to learn that a fast one fails.
no_tests=5
status=0
lap "fast tests" "$python" -m pytest -q -m "not slow and not system" "$@" || status=$?
[ "$status" = 0 ] || [ "$status" = "$no_tests" ] || exit "$status"

slow=0
lap "slow tests" "$python" -m pytest -q -m "slow and not system" "$@" || slow=$?
[ "$slow" != "$no_tests" ] || slow=$status # none chosen: what the fast ones said counts
exit "$slow"
