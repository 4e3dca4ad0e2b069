#!/bin/sh
# Builds the wheel: program, models and example configuration in one file for every 64-bit machine.
#
#   sh deploy/build-wheel.sh [FOLDER]       dist by default; PYTHON names an interpreter with pip, python3 by default
#
# Builds in a copy, so that it leaves nothing in the checkout but the result.
set -eu
source=$(cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p -- "${1:-$source/dist}"
folder=$(cd -- "${1:-$source/dist}" && pwd)
copy=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-wheel.XXXXXX")
trap 'rm -rf -- "$copy"' EXIT

cd -- "$source"
cp -R pyproject.toml README.md LICENSE config daemon models training "$copy"
rm -rf -- "$copy"/daemon/*.egg-info # an editable installation's list of files is not ours
"${PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" "$copy"
printf 'built %s\n' "$folder"/facelatch-*.whl
