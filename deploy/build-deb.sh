#!/bin/sh
# Builds the package for Raspberry Pi OS bookworm and trixie, 64 bit: `sudo apt install ./facelatch_*.deb`
#
#   sh deploy/build-deb.sh [FOLDER]         dist by default; PYTHON names an interpreter with pip and click
#
# Of the same sources it makes the same bytes; SOURCE_DATE_EPOCH is the date in it, by default that of the last commit.
# It holds the wheel, and the files that install.sh lays out. The virtual environment is made on the Pi when the
# package is configured, because it has to fit the Python and the numpy there; that needs the network once.
set -eu
unset CDPATH
umask 022
source=$(cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-$source/dist}
python=${PYTHON:-python3}
stage=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-deb.XXXXXX")
trap 'rm -rf -- "$stage"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml")
share=$stage/usr/share/facelatch

# shellcheck source=deploy/date.sh
. "$source/deploy/date.sh"
chmod 755 "$stage"
PYTHON=$python sh "$source/deploy/install.sh" --root "$stage" --prefix /usr
PYTHON=$python sh "$source/deploy/build-wheel.sh" "$share"
for requirements in "$source"/deploy/requirements/3.*.txt; do
    install -D -m 644 "$requirements" "$share/deploy/requirements/${requirements##*/}"
done
install -D -m 755 "$source/deploy/install.sh" "$share/deploy/install.sh"
install -D -m 644 "$source/deploy/checksums.sh" "$share/deploy/checksums.sh"
gzip -9n "$stage/usr/share/man/man1/facelatch.1"
install -D -m 644 "$source/LICENSE" "$stage/usr/share/doc/facelatch/copyright"

mkdir "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: facelatch
Version: $version
Architecture: all
Maintainer: The Facelatch authors <facelatch@localhost>
Section: misc
Priority: optional
Depends: python3 (>= 3.11), python3 (<< 3.14), python3-venv, python3-picamera2, python3-gpiozero, python3-lgpio, python3-systemd, systemd
Description: a door that knows its people
 Unattended face-verified access control for the Raspberry Pi: reads a camera,
 compares faces with the enrolled ones, and drives a lock and an LED.
CONTROL
echo /etc/facelatch/facelatch.toml >"$stage/DEBIAN/conffiles"

# dpkg keeps the configuration; the rest is the installer's own work.
cat >"$stage/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    sh /usr/share/facelatch/deploy/install.sh --packaged --wheel /usr/share/facelatch/facelatch-*.whl
fi
SCRIPT
cat >"$stage/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
    sh /usr/share/facelatch/deploy/install.sh --packaged --uninstall
fi
SCRIPT
cat >"$stage/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
if [ "$1" = purge ]; then
    # As the gallery removes people: overwritten first, as far as a file system lets anyone.
    for state in /var/lib/facelatch /var/lib/facelatch-console /var/lib/facelatch-collect /var/lib/facelatch-backup \
        /etc/facelatch/console /etc/facelatch/fleet /etc/facelatch/collect; do
        [ ! -d "$state" ] || find "$state" -type f -exec shred -f -n 0 -z {} + || true
        rm -rf "$state"
    done
    rm -rf /var/lib/facelatch-bridge /etc/facelatch
    rm -f /etc/systemd/system/facelatch.service.d/seal.conf
    for user in facelatch-console facelatch-bridge facelatch-collect facelatch facelatch-lock; do
        userdel "$user" 2>/dev/null || true
    done
fi
SCRIPT
chmod 755 "$stage/DEBIAN/postinst" "$stage/DEBIAN/prerm" "$stage/DEBIAN/postrm"

mkdir -p -- "$folder"
# xz divides its work by the number of processors, and what it writes depends on that.
DPKG_DEB_THREADS_MAX=1 dpkg-deb --build --root-owner-group -Zxz "$stage" "$folder/facelatch_${version}_all.deb"
