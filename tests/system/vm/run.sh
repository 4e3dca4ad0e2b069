#!/bin/sh
# Builds the virtual machine (build.sh), then runs the tests in it. Where it cannot be had, they are skipped, and said so;
# where it cannot be built although all is there, that is a fault of ours.
#
#   run.sh WORK WHEELS [PYTEST OPTIONS]     as ../run.sh calls it, as root. WORK: an empty folder. WHEELS: as for build.sh
set -eu
cd -- "$(dirname -- "$0")/../../.."
work=$1 wheels=$2
shift 2
# shellcheck source=tests/laps.sh
. tests/laps.sh
trap print_laps EXIT

built=0
lap "virtual machine: build" bash tests/system/vm/build.sh "$work" "$wheels" 2>"$work/log" || built=$?
case $built in
    0) ;;
    75) printf 'SYSTEM TESTS SKIPPED in a virtual machine: %s\n' "$(cat "$work/log")"; exit 0 ;;
    *) cat "$work/log" >&2; exit 1 ;;
esac
export FACELATCH_VM="$work"
lap "virtual machine: tests" timeout --kill-after=30 3600 "${PYTHON:-.venv/bin/python}" -m pytest -q -m system \
    tests/system/vm --basetemp="$work/pytest" "$@"
