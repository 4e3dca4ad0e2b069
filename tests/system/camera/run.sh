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

[ "$(uname -s)" = Linux ] || skip "not Linux"
[ "$(id -u)" = 0 ] || skip "they need root"
command -v dpkg >/dev/null || skip "not Debian"
need_packages debootstrap || skip "debootstrap cannot be installed"
debian_mirror >/dev/null || skip "apt knows no mirror of Debian"
unshare --mount --pid --fork true || skip "no namespaces here"

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/facelatch-camera.XXXXXX")
root=${FACELATCH_CAMERA_ROOT:-$scratch/root}
trap 'rm -rf --one-file-system -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In namespaces of its own, so that its mounts and processes end with it, and deleting the root is safe.
apart() { timeout --kill-after=30 1500 unshare --mount --pid --fork --kill-child "$@"; }

if [ ! -e "$root/complete" ]; then
    echo "system tests: making a trixie root with picamera2"
    apart sh tests/system/camera/make_root.sh "$root" >"$scratch/log" 2>&1 ||
        skip "the trixie root cannot be made: $(tail -n 3 "$scratch/log")"
    touch "$root/complete"
fi
apart sh tests/system/camera/in_root.sh "$root" "$@"
