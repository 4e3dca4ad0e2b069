#!/bin/sh
# The system tests: the console in a browser; the bridge with a broker, and in a Home Assistant; those of the Pi's camera
# stack (camera/run.sh) in a trixie root of their own; training under JAX (backends); a real systemd and a real journal in
# namespaces on a copy-on-write view of this machine; beside all these a virtual machine with lines, cameras and power
# cuts (vm/run.sh).
#
#   sudo sh tests/system/run.sh [PYTEST OPTIONS]        after tests/run.sh, whose .venv it uses
#
# Says what is missing and ends well where they cannot run: without root, systemd, overlayfs, or apt's packages; and in
# the end how many minutes each suite took. aarch64/run.sh is started by hand.
# Installs what is missing by apt: for the virtual machine QEMU, a compiler and kernel headers, for the console Chromium,
# for the bridge Mosquitto. The browser's libraries for Python go into .venv.
# FACELATCH_SYSTEM_TESTS=short is what CI runs: README.md says what it leaves out.
# FACELATCH_VM_TESTS=no leaves the virtual machine out, whose processor is emulated: it takes a quarter of an hour.
# FACELATCH_HOMEASSISTANT names a folder that homeassistant/make.sh has made; without it one is made, beside the other suites.
# FACELATCH_PATIENCE (6) is by how much this machine may be slower than an idle one.
set -eu
cd -- "$(dirname -- "$0")/../.."
# shellcheck source=tests/laps.sh
. tests/laps.sh
# shellcheck source=tests/system/debian.sh
. tests/system/debian.sh
python=${PYTHON:-.venv/bin/python}

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/facelatch-system.XXXXXX")
machines= # the process group of the virtual machine's tests
home=     # what makes an environment with Home Assistant
trap '[ -z "$machines" ] || kill -- "-$machines"; [ -z "$home" ] || kill "$home" 2>/dev/null || true; rm -rf --one-file-system -- "$scratch"; print_laps' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed() { [ "$1" = 0 ] || [ "$1" = 5 ]; } # 5: none was chosen
tests() { timeout --kill-after=30 5400 "$python" -m pytest -q -m system "$@"; }

# The installer is told not to call apt in the container, which has no network; these it cannot do without. And apt's
# numpy, which on a Pi comes with picamera2, so that it is seen that pip leaves it alone.
has_packages() { /usr/bin/python3 -I -c 'import ensurepip, venv, systemd.journal, numpy' 2>/dev/null; }

# Everything the installation downloads, for the system's own Python and once for all installations: what the file of
# hashes names, so that the installer takes these and no others.
fetch_wheels() {
    /usr/bin/python3 -I -m venv "$scratch/pip" &&
        PYTHON="$scratch/pip/bin/python" sh deploy/build-wheel.sh "$scratch/wheels" &&
        "$scratch/pip/bin/python" -I -m pip download --quiet --disable-pip-version-check --dest "$scratch/wheels" \
            --no-deps --require-hashes --only-binary :all: --requirement "deploy/requirements/$(/usr/bin/python3 -I -c '
import platform, sys
print("%d.%d-%s.txt" % (*sys.version_info[:2], platform.machine()))')"
}

# Makes ready for a systemd of our own; says what is missing for it, and nothing where all is there.
make_ready() {
    [ "$(uname -s)" = Linux ] || { echo "not Linux"; return; }
    [ "$(id -u)" = 0 ] || { echo "they need root"; return; }
    [ -x "$python" ] || { echo "no $python: run tests/run.sh first"; return; }
    for tool in unshare nsenter runuser setpriv systemctl journalctl; do
        command -v "$tool" >/dev/null || { echo "$tool is missing"; return; }
    done
    [ -x /lib/systemd/systemd ] || { echo "systemd is missing"; return; }
    awk '$3 == "cgroup2" { found = 1 } END { exit !found }' /proc/mounts || { echo "no cgroup2 is mounted"; return; }
    has_packages || need_packages python3-venv python3-systemd python3-numpy >/dev/null 2>&1 || true
    has_packages || { echo "apt's python3-venv, python3-systemd and python3-numpy are missing"; return; }
    mkdir "$scratch/trial"
    # shellcheck disable=SC2016  # the variables belong to the inner shell
    unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child sh -eu -c '
        mount --make-rprivate /
        mount -t tmpfs trial "$1"
        mkdir "$1/upper" "$1/work" "$1/root"
        mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" trial "$1/root"
        mount -t sysfs -o ro trial "$1/root/sys"
        mount -t cgroup2 trial "$1/root/sys/fs/cgroup"' trial "$scratch/trial" 2>"$scratch/log" ||
        { echo "namespaces, overlayfs or cgroup2 cannot be used here: $(cat "$scratch/log")"; return; }
    lap "wheels" fetch_wheels >"$scratch/log" 2>&1 ||
        echo "the wheels cannot be fetched: $(tail -n 3 "$scratch/log")"
}

# The browser's libraries, into .venv: before anything else runs from there, which would find the project half installed.
fetch_browser() { "$python" -I -m pip install -qq --disable-pip-version-check --editable ".[browser]"; }

# The console in a browser; skipped with a word where that cannot be had.
in_a_browser() {
    command -v chromedriver >/dev/null || need_packages chromium chromium-driver >/dev/null 2>&1 || true
    if [ "$browser" != 0 ]; then
        echo "SYSTEM TESTS SKIPPED in a browser: selenium and axe cannot be fetched"
        return 5
    fi
    tests tests/system/console "$@"
}

# The bridge with a real broker.
with_a_broker() {
    if ! [ -x /usr/sbin/mosquitto ] && need_packages mosquitto >/dev/null 2>&1; then
        systemctl disable mosquitto >/dev/null 2>&1 || true # the container's systemd would start it
    fi
    tests tests/system/fleet "$@"
}

# An environment with Home Assistant, which wants a Python of its own; says what is missing, and nothing where it is there.
make_home() {
    for python313 in python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python3.13; do
        if "$python313" -I -c 'import venv' 2>/dev/null; then
            timeout 900 sh tests/system/homeassistant/make.sh "$python313" "$1" >"$scratch/home.log" 2>&1 ||
                echo "it cannot be fetched: $(tail -n 1 "$scratch/home.log")"
            return
        fi
    done
    echo "no Python 3.13"
}

# A real Home Assistant; skipped with a word where there is none.
in_a_home() {
    [ -z "$home" ] || wait "$home" || true
    home=
    if [ -s "$scratch/home-lacks" ]; then
        echo "SYSTEM TESTS SKIPPED in Home Assistant: $(cat "$scratch/home-lacks")"
        return 5
    fi
    FACELATCH_HOMEASSISTANT=${FACELATCH_HOMEASSISTANT:-$scratch/home} tests tests/system/homeassistant "$@"
}

# Minutes of downloads: beside the other suites.
if [ -z "${FACELATCH_HOMEASSISTANT:-}" ]; then
    make_home "$scratch/home" >"$scratch/home-lacks" &
    home=$!
fi

echo "system tests: making ready"
lacking=$(make_ready)
browser=0
[ ! -x "$python" ] || lap "browser's libraries" fetch_browser || browser=$?

# Side by side: the virtual machine's mostly wait for an emulated processor, the others for downloads and for time limits
# to pass.
if [ -n "$lacking" ]; then
    :
elif [ "${FACELATCH_VM_TESTS:-yes}" = yes ]; then
    mkdir "$scratch/vm"
    # A session of its own: the group can be ended whole.
    PYTHON=$python PIP=$scratch/pip/bin/python setsid sh tests/system/vm/run.sh "$scratch/vm" "$scratch/wheels" "$@" \
        >"$scratch/machines" 2>&1 &
    machines=$!
else
    echo "SYSTEM TESTS SKIPPED in a virtual machine: FACELATCH_VM_TESTS is not yes"
fi

camera=0 backends=0 container=0 virtual=0 console=0 broker=0 assistant=0
# These five need no systemd of ours, so they are not skipped with the rest.
[ ! -x "$python" ] || lap "console" in_a_browser "$@" || console=$?
[ ! -x "$python" ] || lap "broker" with_a_broker "$@" || broker=$?
lap "camera" sh tests/system/camera/run.sh "$@" || camera=$?
[ ! -x "$python" ] || lap "backends" tests tests/system/backends "$@" || backends=$?
[ ! -x "$python" ] || lap "home assistant" in_a_home "$@" || assistant=$?
if [ -z "$lacking" ]; then
    export FACELATCH_WHEELS="$scratch/wheels"
    lap "container" tests tests/system --ignore=tests/system/vm --ignore=tests/system/backends \
        --ignore=tests/system/console --ignore=tests/system/fleet --ignore=tests/system/homeassistant \
        --basetemp="$scratch/pytest-container" "$@" || container=$?
else
    printf 'SYSTEM TESTS SKIPPED: %s\n' "$lacking"
fi
if [ -n "$machines" ]; then
    wait "$machines" || virtual=$?
    machines=
    cat "$scratch/machines"
fi
passed "$console" && passed "$broker" && passed "$assistant" && passed "$camera" && passed "$backends" && passed "$container" && passed "$virtual"
