#!/bin/sh
# The Pi's camera path for real: picamera2 on libcamera's virtual camera, under Debian trixie, Python 3.13, numpy 2 and
# LiteRT, with Facelatch installed by its own installer; then unit tests on that platform.
#
#   sudo sh tests/system/camera/run.sh [PYTEST ARGUMENTS]
#
# Needs root, a network, 1.5 GB on disk and about four minutes. Says so and ends well where it cannot run.
# FACELATCH_CAMERA_ROOT names a folder to keep the root in, which makes the next run short.
# FACELATCH_PATIENCE (6) is by how much this machine may be slower than an idle one.
set -eu
cd -- "$(dirname -- "$0")/../../.."
# shellcheck source=tests/system/debian.sh
. tests/system/debian.sh

skip() { printf 'SYSTEM TESTS SKIPPED: picamera2: %s\n' "$*"; exit 0; }

can_make_root debootstrap
make_scratch camera
root=${FACELATCH_CAMERA_ROOT:-$scratch/root}

if [ ! -e "$root/complete" ]; then
    echo "system tests: making a trixie root with picamera2"
    apart 1500 sh tests/system/camera/make_root.sh "$root" >"$scratch/log" 2>&1 ||
        skip "the trixie root cannot be made: $(tail -n 3 "$scratch/log")"
    touch "$root/complete"
fi
apart 1500 sh tests/system/camera/in_root.sh "$root" "$@"
