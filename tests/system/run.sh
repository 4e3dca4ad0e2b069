#!/bin/sh
# The system tests: a real systemd and a real journal in namespaces, on a copy-on-write view of this machine; then in
# a virtual machine of their own, with lines, cameras and power cuts (vm/build.sh makes it).
#
#   sudo sh tests/system/run.sh [PYTEST OPTIONS]        after tests/run.sh, whose .venv it uses
#
# Says what is missing and ends well where they cannot run: without root, systemd, overlayfs, or apt's packages.
# First those of the Pi's camera stack (camera/run.sh), in a trixie root of their own, then training under JAX (backends).
# aarch64/run.sh is started by hand.
# Installs what is missing by apt: for the virtual machine QEMU, a compiler and kernel headers.
# FACELATCH_VM_TESTS=no leaves the virtual machine out, whose processor is emulated: it takes the better part of an hour.
# FACELATCH_PATIENCE (6) is by how much this machine may be slower than an idle one.
set -eu
cd -- "$(dirname -- "$0")/../.."
python=${PYTHON:-.venv/bin/python}

backends=0 # how their tests ended
passed() { [ "$1" = 0 ] || [ "$1" = 5 ]; } # 5: none was chosen
skip() { printf 'SYSTEM TESTS SKIPPED: %s\n' "$*"; passed "$backends"; exit; }

# These two need no systemd, so they are not skipped with the rest.
sh tests/system/camera/run.sh "$@"
[ ! -x "$python" ] || "$python" -m pytest -q -m system tests/system/backends "$@" || backends=$?

[ "$(uname -s)" = Linux ] || skip "not Linux"
[ "$(id -u)" = 0 ] || skip "they need root"
[ -x "$python" ] || skip "no $python: run tests/run.sh first"
for tool in unshare nsenter runuser setpriv systemctl journalctl; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
done
[ -x /lib/systemd/systemd ] || skip "systemd is missing"
awk '$3 == "cgroup2" { found = 1 } END { exit !found }' /proc/mounts || skip "no cgroup2 is mounted"

# The installer is told not to call apt in the container, which has no network; these it cannot do without. And apt's
# numpy, which on a Pi comes with picamera2, so that it is seen that pip leaves it alone.
has_packages() { /usr/bin/python3 -c 'import ensurepip, venv, systemd.journal, numpy' 2>/dev/null; }
has_packages || DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    python3-venv python3-systemd python3-numpy >/dev/null 2>&1 || true
has_packages || skip "apt's python3-venv, python3-systemd and python3-numpy are missing"

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/facelatch-system.XXXXXX")
machines= # the process of the virtual machine's tests
trap '[ -z "$machines" ] || kill "$machines"; rm -rf --one-file-system -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir "$scratch/trial"
# shellcheck disable=SC2016  # the variables belong to the inner shell
unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child sh -eu -c '
    mount --make-rprivate /
    mount -t tmpfs trial "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" trial "$1/root"
    mount -t sysfs -o ro trial "$1/root/sys"
    mount -t cgroup2 trial "$1/root/sys/fs/cgroup"' trial "$scratch/trial" 2>"$scratch/log" ||
    skip "namespaces, overlayfs or cgroup2 cannot be used here: $(cat "$scratch/log")"

# Everything the installation downloads, for the system's own Python and once for all installations.
echo "system tests: fetching wheels"
{
    /usr/bin/python3 -m venv "$scratch/pip" &&
        PYTHON="$scratch/pip/bin/python" sh deploy/build-wheel.sh "$scratch/wheels" &&
        "$scratch/pip/bin/python" -m pip download --quiet --disable-pip-version-check --dest "$scratch/wheels" \
            "$(echo "$scratch"/wheels/facelatch-*.whl)[pi]"
} >"$scratch/log" 2>&1 || skip "the wheels cannot be fetched: $(tail -n 3 "$scratch/log")"

# The virtual machine, for what needs a line, a camera and a kernel of its own. Where it cannot be had, its tests are
# skipped, and said so; where it cannot be built although all is there, that is a fault of ours.
if [ "${FACELATCH_VM_TESTS:-yes}" = yes ]; then
    mkdir "$scratch/vm"
    built=0
    PIP=$scratch/pip/bin/python bash tests/system/vm/build.sh "$scratch/vm" "$scratch/wheels" 2>"$scratch/log" || built=$?
    case $built in
        0) export FACELATCH_VM="$scratch/vm" ;;
        75) printf 'SYSTEM TESTS SKIPPED in a virtual machine: %s\n' "$(cat "$scratch/log")" ;;
        *) cat "$scratch/log" >&2; exit 1 ;;
    esac
else
    echo "SYSTEM TESTS SKIPPED in a virtual machine: FACELATCH_VM_TESTS is not yes"
fi

# Side by side: the ones mostly wait for an emulated processor, the others for time limits to pass.
tests() { exec timeout --kill-after=30 "$limit" "$python" -m pytest -q -m system "$@"; }
if [ -n "${FACELATCH_VM:-}" ]; then
    limit=7200
    tests tests/system/vm --basetemp="$scratch/pytest-machines" "$@" >"$scratch/machines" 2>&1 &
    machines=$!
fi
container=0 virtual=0 limit=2400
export FACELATCH_WHEELS="$scratch/wheels"
(tests tests/system --ignore=tests/system/vm --ignore=tests/system/backends \
    --basetemp="$scratch/pytest-container" "$@") || container=$?
if [ -n "$machines" ]; then
    wait "$machines" || virtual=$?
    machines=
    cat "$scratch/machines"
fi
passed "$backends" && passed "$container" && passed "$virtual"
