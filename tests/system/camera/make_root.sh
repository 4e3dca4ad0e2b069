#!/bin/sh
# Makes a Debian trixie root (Python 3.13, numpy 2) in which real picamera2 drives libcamera's virtual camera.
#
#   make_root.sh ROOT       in mount and pid namespaces of its own, as run.sh calls it
#
# Raspberry Pi OS has picamera2 as a package of apt; Debian has not, so pip puts it where apt would: into the system's
# own Python, below every virtual environment.
set -eu
root=$1
here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=tests/system/debian.sh
. "$here/../debian.sh"
mirror=$(debian_mirror)

debootstrap --variant=minbase --include=ca-certificates,python3-venv,python3-pip trixie "$root" "$mirror"
furnish "$root"
# trixie's own libcamera lists the virtual camera, but drops every frame of it.
echo "deb $mirror trixie-backports main" >"$root/etc/apt/sources.list.d/backports.list"
in_root "$root" apt-get update -q
in_root "$root" apt-get install -q -y --no-install-recommends -t trixie-backports python3-libcamera libcamera-ipa
# What the installer asks of apt, as far as Debian has it; the tests; what picamera2 needs, with the compiler for the
# one dependency that has no wheel.
in_root "$root" apt-get install -q -y --no-install-recommends \
    systemd python3-systemd python3-numpy python3-pytest python3-hypothesis \
    python3-jsonschema python3-libarchive-c python3-piexif python3-pil python3-prctl python3-tqdm \
    gcc libc6-dev python3-dev
in_root "$root" python3 -m pip install --quiet --break-system-packages --root-user-action ignore \
    'numpy==2.2.*' picamera2==0.3.38
