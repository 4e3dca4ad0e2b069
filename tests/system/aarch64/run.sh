#!/bin/sh
# The Raspberry Pi's processor under qemu-user: the wheels install, the results are those of x86_64, and how many
# instructions a face costs, ours and the peers'.
#
#   sudo sh tests/system/aarch64/run.sh [--json]        --json prints the counts as JSON instead of a table
#
# Needs root, a network, 1.5 GB on disk and about ten minutes; by hand, not in CI. Says so where it cannot run.
# FACELATCH_AARCH64_ROOT names a folder to keep the root in. Peers are counted when ../shared has them.
set -eu
cd -- "$(dirname -- "$0")/../../.."
python=${PYTHON:-.venv/bin/python}
# shellcheck source=tests/system/debian.sh
. tests/system/debian.sh

skip() { printf 'SYSTEM TESTS SKIPPED: aarch64: %s\n' "$*"; exit 0; }

[ "$(uname -sm)" = "Linux x86_64" ] || skip "not Linux on x86_64"
[ -x "$python" ] || skip "no $python: run tests/run.sh first"
can_make_root debootstrap qemu-user gcc libc6-dev
make_scratch aarch64
root=${FACELATCH_AARCH64_ROOT:-$scratch/root}

if [ ! -e "$root/complete" ]; then
    echo "system tests: making an aarch64 root with the wheels" >&2
    PYTHON=$python sh deploy/build-wheel.sh "$scratch" >"$scratch/log"
    apart 2400 sh tests/system/aarch64/make_root.sh "$root" "$(echo "$scratch"/facelatch-*.whl)" >>"$scratch/log" 2>&1 ||
        skip "the aarch64 root cannot be made: $(tail -n 3 "$scratch/log")"
    touch "$root/complete"
fi

peers=
if [ -f ../shared/data/reference/mobilefacenet.param ]; then peers=$(cd ../shared/data/reference && pwd); fi
rm -rf "$root/srv/inputs"
mkdir -p "$root/srv/inputs"
echo "system tests: the same on both processors" >&2
PYTHONPATH=daemon:tests/scenarios "$python" tests/system/aarch64/results.py "$root/srv/inputs" "$root/srv/results-here.json"
apart 2400 sh tests/system/aarch64/in_root.sh "$root" "$peers"
FACELATCH_AARCH64_RESULTS=$root/srv "$python" -m pytest -q -rP -m system tests/system/aarch64 >&2
"$python" tests/system/aarch64/table_report.py "$@" "$root/srv"
