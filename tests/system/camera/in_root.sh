#!/bin/sh
# Installs Facelatch in the root that make_root.sh made, by its own installer, and runs the tests there.
#
#   in_root.sh ROOT [PYTEST ARGUMENTS]      in mount and pid namespaces of its own, as run.sh calls it
set -eu
root=$1
shift
# shellcheck source=tests/system/debian.sh
. tests/system/debian.sh
furnish "$root"
mkdir -p "$root/srv/checkout"
mount --bind . "$root/srv/checkout"
mount -o remount,bind,ro "$root/srv/checkout"

echo "system tests: installing on trixie"
rm -rf "$root/opt" "$root/etc/facelatch" "$root/var/lib/facelatch"
in_root "$root" sh /srv/checkout/deploy/install.sh --no-apt

# shellcheck disable=SC2016  # the variables belong to the inner shell
tests() {
    in_root "$root" sh -eu -c '
        cd /srv/checkout
        export FACELATCH_VIRTUAL_CABLE=/run/cable-is-out FACELATCH_PATIENCE="$1" HYPOTHESIS_STORAGE_DIRECTORY=/tmp/examples
        shift
        exec /opt/facelatch/bin/python -m pytest -q -p no:cacheprovider -o faulthandler_timeout=300 "$@"
    ' tests "${FACELATCH_PATIENCE:-6}" "$@"
}

status=0
streams() { tests -m system --confcutdir=tests/system/camera tests/system/camera "$@"; }
streams "$@" || status=$?
for _ in 1 2; do # SIGABRT or SIGSEGV, inside the vendor's pipeline and nowhere else
    case $status in 134 | 139) ;; *) break ;; esac
    echo "system tests: libcamera's virtual camera crashed while it was stopped, as it may on a busy machine: once more"
    status=0
    streams "$@" || status=$?
done
if [ $# = 0 ]; then # of the unit tests, those of what differs between platforms: Python's libraries, numpy, OpenCV, LiteRT
    (
        cd tests/daemon
        set -- test_align.py test_app.py test_c[ao]*.py test_finder*.py test_manifest.py test_p[ei]*.py \
            test_verifier*.py
        for name; do set -- "$@" "tests/daemon/$name" && shift; done
        tests -m "not slow and not system" "$@"
    ) || status=$?
elif [ "$status" = 5 ]; then # somebody looks for other tests
    status=0
fi
exit "$status"
