#!/bin/sh
# Builds the wheel: program, models and example configuration in one file for every 64-bit machine.
#
#   sh deploy/build-wheel.sh [FOLDER]       dist by default; PYTHON names an interpreter with pip, python3 by default
#
# Builds in a copy, so that it leaves nothing in the checkout but the result; with the setuptools that
# requirements/build.txt names by its hash, and no code but that and the checkout's. Of the same sources it makes the
# same bytes: SOURCE_DATE_EPOCH is the date in it, by default that of the last commit.
set -eu
unset CDPATH
python=$(command -v -- "${PYTHON:-python3}")
case $python in /*) ;; *) python=$(pwd)/$python ;; esac
source=$(cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p -- "${1:-$source/dist}"
folder=$(cd -- "${1:-$source/dist}" && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-wheel.XXXXXX")
trap 'rm -rf -- "$copy"' EXIT
umask 022

# shellcheck source=deploy/date.sh
. "$source/deploy/date.sh"
mkdir "$copy/source"
cd -- "$source"
cp -R pyproject.toml README.md LICENSE config daemon models training "$copy/source"
# What the archive says of a file is the same whoever built it; an editable installation's list of files is not ours.
find "$copy/source" -name __pycache__ -prune -exec rm -rf {} +
rm -rf -- "$copy"/source/daemon/*.egg-info
chmod -R u=rwX,go=rX "$copy/source"

"$python" -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --target "$copy/tools" --requirement deploy/requirements/build.txt
cd -- "$copy/source"
"$python" -I -B -c '
import sys
sys.path.insert(0, sys.argv[1])
from setuptools import build_meta
build_meta.build_wheel(sys.argv[2])' "$copy/tools" "$folder" >"$copy/log" 2>&1 || { cat "$copy/log" >&2; exit 1; }
printf 'built %s\n' "$folder"/facelatch-*.whl
