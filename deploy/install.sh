#!/bin/sh
# Installs Facelatch on Raspberry Pi OS (bookworm or trixie, 64 bit, also Lite), or brings it up to date.
#
#   sudo sh deploy/install.sh                      install, or upgrade what is there; may be run again at any time
#   sudo sh deploy/install.sh --upgrade            the same, but only where it is installed already
#   sudo sh deploy/install.sh --uninstall          remove the program; gallery and configuration stay
#   sudo sh deploy/install.sh --uninstall --purge  ... delete them too: everybody enrolled is forgotten
#
#   --wheel FILE    install this wheel instead of building one from the checkout
#   --no-apt        the packages named below are there already; do not call apt
#   --root DIR      only lay out the files under DIR, for packages and tests: nothing on this machine changes
#   --prefix DIR    where the files go, /usr/local by default
#   --packaged      the files came with the .deb: only make the virtual environment, and start
#   --with-console  also start the console, the door's web page, on this machine's own address, and with every boot
#   --with-bridge   also start the bridge to MQTT and notifications with every boot, once [fleet] says whom it tells
#   --seal, --no-seal   whether a first installation encrypts the gallery by a key of this machine; on a Pi it does
#   --help          this text
#
# An upgrade builds the new version beside the old one while the door goes on serving. Then it stops the daemon
# (the door is locked), swaps, and starts. If the new daemon does not get ready, everything goes back to what it was.
# What is downloaded is what requirements/ names, file by file by its hash; PIP_* variables say where from.
# PYTHON names the interpreter, /usr/bin/python3 by default.
set -eu
unset CDPATH

# It runs as root, wherever it was started: before anything is run, it leaves a folder whose files Python, or a PATH with
# a dot in it, would take for programs. Names given relative to that folder are made absolute.
started_in=$(pwd)
case $0 in */*) source=${0%/*}/.. ;; *) source=.. ;; esac
source=$(cd -- "$source" && pwd)
cd /
absolute() { case $1 in /* | '') printf '%s' "$1" ;; *) printf '%s' "${started_in%/}/$1" ;; esac; }

# Root's own packages (~/.local) are none of the program's.
export PYTHONNOUSERSITE=1
# What is laid out can be read by everybody, whatever root's umask.
umask 022

apt_packages="python3-picamera2 python3-gpiozero python3-lgpio python3-systemd python3-venv"
python=${PYTHON:-/usr/bin/python3}
case $python in */*) python=$(absolute "$python") ;; esac
of_the_system="numpy gpiozero colorzero lgpio setuptools" # see choose_requirements
unit=facelatch.service
keeper=facelatch-lock.service # holds the lock's line; the daemon's start wants it
user=facelatch
# Beside the door, all of them off until somebody wants them. The door notices none of them.
console="facelatch-console.service facelatch-intake.socket"
bridge=facelatch-bridge.service
companions="$console $bridge facelatch-backup.timer facelatch-certificate.timer facelatch-collect.service"
action=install root='' prefix=/usr/local wheel='' with_apt=yes packaged=no purge=no seal=auto
with_console=no with_bridge=no fresh=no

say() { printf 'facelatch: %s\n' "$*"; }
fail() { printf 'facelatch: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$source/deploy/${0##*/}"; }

while [ $# -gt 0 ]; do
    case $1 in
        --upgrade) action=upgrade ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        --no-apt) with_apt=no ;;
        --with-console) with_console=yes ;;
        --with-bridge) with_bridge=yes ;;
        --seal) seal=yes ;;
        --no-seal) seal=no ;;
        --packaged) packaged=yes with_apt=no prefix=/usr ;;
        --root | --prefix | --wheel)
            [ $# -ge 2 ] || fail "$1 needs a value, see --help"
            case $1 in
                --root) root=$(absolute "$2") ;;
                --prefix) prefix=$(absolute "$2") ;;
                --wheel) wheel=$(absolute "$2") ;;
            esac
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ "$purge" = no ] || [ "$action" = uninstall ] || fail "--purge goes with --uninstall"
[ -z "$wheel" ] || [ -f "$wheel" ] || fail "$wheel: no such wheel"

current=$root/opt/facelatch # a link to facelatch-a or facelatch-b, so that a swap is one rename
configuration=$root/etc/facelatch/facelatch.toml
state=$root/var/lib/facelatch
state_before=$root/var/lib/facelatch.before-upgrade
scratch=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-install.XXXXXX")
go_back_on_exit=no

# ---- The files ------------------------------------------------------------------------------------------------------

# Where from, in the source, and where to, below the prefix; also what --uninstall removes. The names are our own, so
# that a space can stand between them. `generated` ones are written by the program itself.
files() {
    cat <<FILES
deploy/facelatch.service lib/systemd/system/$unit
deploy/facelatch-lock.service lib/systemd/system/$keeper
deploy/facelatch-backup.service lib/systemd/system/facelatch-backup.service
deploy/facelatch-backup.timer lib/systemd/system/facelatch-backup.timer
deploy/facelatch-bridge.service lib/systemd/system/$bridge
deploy/facelatch-certificate.service lib/systemd/system/facelatch-certificate.service
deploy/facelatch-certificate.timer lib/systemd/system/facelatch-certificate.timer
deploy/facelatch-collect.service lib/systemd/system/facelatch-collect.service
deploy/facelatch-console.service lib/systemd/system/facelatch-console.service
deploy/facelatch-intake.socket lib/systemd/system/facelatch-intake.socket
deploy/facelatch-intake@.service lib/systemd/system/facelatch-intake@.service
deploy/facelatch.sysusers lib/sysusers.d/facelatch.conf
deploy/facelatch.tmpfiles lib/tmpfiles.d/facelatch.conf
deploy/facelatch.catalog lib/systemd/catalog/facelatch.catalog
deploy/seal.sh sbin/facelatch-seal
generated/facelatch.1 share/man/man1/facelatch.1
generated/completion share/bash-completion/completions/facelatch
FILES
    for document in README.md several-doors.md boot/config.txt boot/journal.conf boot/watchdog.conf drop-in/camera-hotplug.conf \
        drop-in/journal-of-its-own.conf drop-in/reboot-when-hopeless.conf drop-in/state-elsewhere.conf drop-in/usb-reader.conf \
        wiring/active-low-relay.svg wiring/led-and-button.svg \
        wiring/maglock.svg wiring/monostable.svg wiring/pins.svg wiring/site.svg wiring/strike.svg; do
        echo "deploy/$document share/doc/facelatch/$document"
    done
}

mode_of() { case $1 in */sbin/*) echo 755 ;; *) echo 644 ;; esac; }

origin() { case $1 in generated/*) printf '%s' "$scratch/$1" ;; *) printf '%s' "$source/$1" ;; esac; }

generate() { # with an interpreter that has click: the new virtual environment's, or PYTHON when staging
    mkdir -p "$scratch/generated"
    "$1" -I -B "$source/deploy/man_page.py" >"$scratch/generated/facelatch.1" || fail "$1 cannot write the man page"
    _FACELATCH_COMPLETE=bash_source "$1" -I -B -c '
import sys
sys.path.append(sys.argv.pop())
from facelatch.__main__ import main
main()' "$source/daemon" >"$scratch/generated/completion"
}

put_files() {
    files >"$scratch/files"
    while read -r from to; do
        from=$(origin "$from") to=$prefix/$to
        if cmp -s "$from" "$root$to"; then continue; fi
        say "writing $to"
        install -D -m "$(mode_of "$to")" "$from" "$root$to"
    done <"$scratch/files"
    mkdir -p "$root$prefix/bin"
    ln -sfn /opt/facelatch/bin/facelatch "$root$prefix/bin/facelatch"
}

put_configuration() {
    if [ -e "$configuration" ]; then
        say "keeping the configuration in /etc/facelatch/facelatch.toml"
    else
        say "writing /etc/facelatch/facelatch.toml: every key is explained in it"
        install -D -m 644 "$source/config/facelatch.toml" "$configuration"
        fresh=yes
    fi
}

remove_files() {
    files | while read -r _ to; do rm -f -- "$root$prefix/$to"; done
    rm -f -- "$root$prefix/bin/facelatch"
    for folder in doc/facelatch/boot doc/facelatch/drop-in doc/facelatch/wiring doc/facelatch; do
        rmdir -- "$root$prefix/share/$folder" 2>/dev/null || true
    done
}

# ---- The program ----------------------------------------------------------------------------------------------------

require_system() {
    [ "$(id -u)" = 0 ] || fail "run it as root: sudo sh $0"
    command -v dpkg >/dev/null || fail "made for Raspberry Pi OS and Debian; elsewhere use pip (see README.md)"
    case $(dpkg --print-architecture) in
        arm64 | amd64) ;;
        *) fail "needs a 64-bit system: TFLite's runtime has no 32-bit build. Write the 64-bit image to the card" ;;
    esac
    if [ "$packaged" = no ] && dpkg -s facelatch >/dev/null 2>&1; then
        fail "installed as a package: use apt to upgrade or remove it"
    fi
    if [ -e "$current" ] && [ ! -L "$current" ]; then
        fail "/opt/facelatch is a directory that this script did not make: move it away first"
    fi
}

install_packages() {
    [ "$with_apt" = yes ] || return 0
    for package in $apt_packages; do
        # shellcheck disable=SC2016  # a format of dpkg-query, not a variable
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in *" installed") ;; *) missing=yes ;; esac
    done
    [ -n "${missing:-}" ] || return 0
    say "installing from apt: $apt_packages"
    apt-get update -qq
    # Without recommends: picamera2 recommends a whole desktop.
    # shellcheck disable=SC2086  # one word each
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $apt_packages
}

# Sets old_slot and new_slot; the one in use is never touched.
choose_slot() {
    old_slot=$(readlink "$current" || true)
    case $old_slot in facelatch-a) new_slot=facelatch-b ;; *) new_slot=facelatch-a ;; esac
}

# The file of hashes for the new environment's Python and this processor.
find_lock() {
    lock=$source/deploy/requirements/$("$new/bin/python" -I -c '
import platform, sys
print("%d.%d-%s.txt" % (*sys.version_info[:2], platform.machine()))')
    [ -f "$lock" ] || fail "no requirements for this Python and processor (${lock##*/}): it takes Python 3.11 to 3.13, 64 bit"
}

# What the system has of a few stays: picamera2 is compiled for apt's numpy, the libraries of the pins match the kernel,
# and a new environment may bring setuptools. All else comes from the file of hashes, whatever the system has.
choose_requirements() {
    # shellcheck disable=SC2086  # one word each
    "$new/bin/python" -I -c '
import importlib.metadata, re, sys
def there(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
blocks = re.split(r"^(?=[a-z])", open(sys.argv[1], encoding="utf-8").read(), flags=re.M)
for block in blocks:
    name = block.partition("==")[0]
    if name not in sys.argv[2:] or there(name) is None:
        print(block, end="")
' "$lock" $of_the_system >"$scratch/requirements.txt"
}

# Installed without their dependencies, which the file names one by one, they have to fit one another all the same: apt
# chose some of the versions. What else on the system does not fit is not our business.
require_fitting() {
    names=$(sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' "$lock" | tr '\n' '|')facelatch
    faults=$("$new/bin/python" -I -m pip check --disable-pip-version-check | grep -iE "^($names) ") || return 0
    fail "packages do not fit one another:
$faults"
}

make_environment() {
    say "making a virtual environment in /opt/$new_slot (this takes minutes on a Pi)"
    new=$root/opt/$new_slot
    if [ -n "$wheel" ] && [ -f "${wheel%/*}/SHA256SUMS" ]; then
        sh "$source/deploy/checksums.sh" --verify "${wheel%/*}" "${configuration%/*}/allowed_signers" ||
            fail "$wheel: not the file it should be"
    fi
    "$python" -I -m venv --clear --system-site-packages "$new"
    # For whoever adds a package by hand: pip may use apt's numpy or none.
    "$new/bin/python" -I -c 'import numpy; print("numpy==" + numpy.__version__)' >"$new/constraints.txt" 2>/dev/null ||
        say "apt has no numpy here, so pip installs one"
    find_lock
    choose_requirements
    "$new/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
        --only-binary :all: --requirement "$scratch/requirements.txt"
    if [ -z "$wheel" ]; then
        PYTHON="$new/bin/python" sh "$source/deploy/build-wheel.sh" "$scratch/wheel"
        wheel=$(echo "$scratch"/wheel/facelatch-*.whl)
    fi
    "$new/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-index "$wheel"
    require_fitting
    say "$("$new/bin/facelatch" --version)"
}

# Swaps in one rename, so that a power cut leaves the old or the new version; what is swapped in lies on the disk before
# that, for a kernel that crashes half a minute later leaves files that were only in memory empty.
point_to() {
    sync
    ln -sfn "$1" "$current.next"
    mv -T "$current.next" "$current"
    sync
}

activate() { # users, directories, unit, catalogue
    if [ "$packaged" = no ]; then
        put_files
        put_configuration
    fi
    systemd-sysusers "$prefix/lib/sysusers.d/facelatch.conf"
    systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/facelatch.conf"
    systemctl daemon-reload
    journalctl --update-catalog 2>/dev/null || say "journalctl -x will not explain events: the catalogue was refused"
}

seal_gallery() { # a first installation on a Pi, or where it is asked for; the daemon seals it when it starts
    case $seal in
        no) return 0 ;;
        auto) grep -qs 'Raspberry Pi' /proc/device-tree/model || return 0 ;;
    esac
    "$prefix/sbin/facelatch-seal" make || say "the gallery will not be sealed, see above"
}

# What the console and the bridge may ask the daemon for, as deploy/README.md explains it: into a configuration that was
# written just now; into anybody's own, that person writes it. What the bridge needs besides for several doors is added by
# whoever joins the door to them.
allow_companions() {
    rights=
    if [ "$with_console" = yes ]; then
        add_rights facelatch-console \
            '["status", "people.read", "people.write", "enrol", "admin", "lockout", "config", "check", "history", "preview", "acts_for"]'
    fi
    if [ "$with_bridge" = yes ]; then add_rights facelatch-bridge '["status", "history"]'; fi
    [ -n "$rights" ] || return 0
    if [ "$fresh" = yes ]; then
        sed -i "s|^rights = {}\$|rights = { $rights }|" "$configuration"
    else
        say "what is left to do for them, in [control] of /etc/facelatch/facelatch.toml, and restart the daemon:"
        printf '    rights = { %s }\n' "$rights"
    fi
}

add_rights() { # add_rights USER LIST: to $rights, unless the configuration has an entry of that user
    if grep -q "^rights *=.*$1 *=" "$configuration"; then return 0; fi
    rights="${rights:+$rights, }$1 = $2"
}

start_companions() { # those that are wanted; those that run already get the new version
    systemctl try-restart facelatch-console.service "$bridge" facelatch-collect.service ||
        say "see systemctl status facelatch-console $bridge facelatch-collect"
    if [ "$with_console" = yes ]; then
        # shellcheck disable=SC2086  # one word each
        systemctl enable --now $console || say "the console does not start: journalctl -xu facelatch-console"
        say "the console listens; \`sudo facelatch console invite NAME --role admin\` lets the first person in"
    fi
    [ "$with_bridge" = yes ] || return 0
    systemctl enable "$bridge"
    say "the bridge starts with the next boot, or by: sudo systemctl start facelatch-bridge (first say whom it tells in [fleet])"
}

check() { # as the daemon's user; the camera and the pins are left alone, for nobody has said how they are wired yet
    say "facelatch check --no-hardware says:"
    if [ -e "$root/etc/facelatch/seal.cred" ]; then # only a unit is given the key
        "$prefix/sbin/facelatch-seal" run check --no-hardware || say "not all is well, see the hints above"
        return
    fi
    runuser -u "$user" -- "$current/bin/facelatch" --config "$configuration" check --no-hardware ||
        say "not all is well, see the hints above"
}

forget() { # a gallery's directory, as the gallery does it: overwritten first, as far as a file system lets anyone
    [ -d "$1" ] || return 0
    find "$1" -type f -exec shred --force --iterations=0 --zero --remove=unlink {} + ||
        say "$1 could not be overwritten: what was in it may still be readable"
    rm -rf -- "$1"
}

# ---- Upgrading, and going back --------------------------------------------------------------------------------------

keep_what_was() { # called with the daemon stopped
    mkdir -p "$scratch/before"
    if [ "$packaged" = no ]; then
        files | while read -r _ to; do
            to=$prefix/$to
            if [ -e "$root$to" ]; then install -D -m 644 "$root$to" "$scratch/before$to"; fi
        done
    fi
    forget "$state_before"
    if [ -d "$state" ]; then cp -a -- "$state" "$state_before"; fi
    go_back_on_exit=yes
}

go_back() {
    say "the new version did not start: going back to $old_slot"
    systemctl stop "$unit" "$keeper" || true
    if [ "$packaged" = no ]; then
        files | while read -r _ to; do
            to=$prefix/$to
            if [ -e "$scratch/before$to" ]; then
                install -m "$(mode_of "$to")" "$scratch/before$to" "$root$to"
            else
                rm -f -- "$root$to"
            fi
        done
    fi
    point_to "$old_slot"
    if [ -d "$state_before" ]; then
        forget "$state"
        mv -- "$state_before" "$state"
    fi
    systemctl daemon-reload
    systemctl reset-failed "$unit" || true
    systemctl start "$unit" || say "the old version does not start either: journalctl -xu facelatch"
    rm -rf -- "$root/opt/$new_slot"
}

at_exit() {
    status=$?
    trap - EXIT
    if [ "$go_back_on_exit" = yes ]; then
        go_back_on_exit=no
        go_back
        [ "$status" != 0 ] || status=1
    fi
    rm -rf -- "$scratch"
    exit "$status"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_or_upgrade() {
    require_system
    choose_slot
    [ "$action" = install ] || [ -n "$old_slot" ] || fail "nothing is installed here: run it without --upgrade"
    install_packages
    make_environment
    [ "$packaged" = yes ] || generate "$new/bin/python"
    serving=no
    if systemctl is-active --quiet "$unit"; then
        serving=yes
        say "stopping the daemon: the door is locked until the new version serves"
    fi
    systemctl stop "$unit" 2>/dev/null || true # also one that is between two restarts; none at all is fine
    systemctl stop "$keeper" 2>/dev/null || true # it drives the line locked once more; versions before it had none
    if [ "$serving" = yes ]; then keep_what_was; fi
    point_to "$new_slot"
    activate
    allow_companions
    [ -n "$old_slot" ] || seal_gallery
    check
    if [ "$serving" = yes ]; then
        say "starting the daemon"
        systemctl start "$unit" || fail "the new version does not get ready: journalctl -xu facelatch"
        go_back_on_exit=no
    elif systemctl is-enabled --quiet "$unit" 2>/dev/null; then
        systemctl start "$unit" || say "it does not start: journalctl -xu facelatch"
    fi
    start_companions
    forget "$state_before"
    [ -z "$old_slot" ] || rm -rf -- "$root/opt/$old_slot"
    explain
}

explain() {
    if systemctl is-active --quiet "$unit"; then
        say "done, the door is served. \`facelatch status\` asks it, \`journalctl -xfu facelatch\` watches it."
        return
    fi
    cat <<NEXT

Installed, and not started: nobody has said yet how the lock is wired. What is left to do:
  1. Say it in /etc/facelatch/facelatch.toml: camera, lock_pin, lock_energise, lock_active.
     $prefix/share/doc/facelatch/README.md has drawings; its boot lines keep the pin safe before the daemon runs.
  2. With the lock not yet connected:   sudo -u $user facelatch check
  3. sudo systemctl enable --now facelatch
  4. sudo usermod -aG $user YOU         to look and to enrol without sudo (log in again)
NEXT
}

uninstall() {
    if [ -z "$root" ]; then
        require_system
        say "stopping the daemon; the door is locked, and its pin is let go"
        # shellcheck disable=SC2086  # one word each
        for one in "$unit" $companions; do systemctl disable --now "$one" 2>/dev/null || true; done
        systemctl stop "$keeper" facelatch-backup.service 'facelatch-intake@*.service' 2>/dev/null || true
    fi
    if [ "$packaged" = no ]; then
        say "removing the program"
        remove_files
    fi
    rm -rf -- "$current" "$current-a" "$current-b"
    forget "$state_before"
    if [ "$purge" = yes ]; then
        say "deleting configuration, gallery, backups, the console's accounts and certificates, the log of all doors"
        rm -f -- "$root/etc/systemd/system/facelatch.service.d/seal.conf"
        forget "$root/var/lib/facelatch-backup"
        forget "$root/var/lib/facelatch-console"
        rm -rf -- "$root/var/lib/facelatch-bridge"
        forget "$root/var/lib/facelatch-collect"
        for secret in console fleet collect; do forget "$root/etc/facelatch/$secret"; done
        rm -rf -- "$root/etc/facelatch"
        forget "$state"
    else
        say "keeping /etc/facelatch and the gallery in /var/lib/facelatch"
    fi
    [ -z "$root" ] || return 0
    systemctl daemon-reload
    journalctl --update-catalog 2>/dev/null || true
    [ "$purge" = no ] || for one in "$user-console" "$user-bridge" "$user-collect" "$user" "$user-lock"; do
        if id "$one" >/dev/null 2>&1; then userdel "$one"; fi
    done
}

case $action in
    uninstall) uninstall ;;
    *)
        if [ -n "$root" ]; then
            generate "$python"
            put_files
            put_configuration
            allow_companions
        else
            install_or_upgrade
        fi ;;
esac
