#!/bin/sh
# Runs results.py and counts.py in the root that make_root.sh made; the answers lie in ROOT/srv.
#
#   in_root.sh ROOT [PEERS]      in mount and pid namespaces of its own, as run.sh calls it
set -eu
root=$1 peers=${2:-}
# shellcheck source=tests/system/debian.sh
. tests/system/debian.sh
# shellcheck source=tests/system/aarch64/emulate.sh
. tests/system/aarch64/emulate.sh
furnish "$root"
mkdir -p "$root/srv/checkout" "$root/srv/peers"
mount --bind . "$root/srv/checkout"
mount -o remount,bind,ro "$root/srv/checkout"
[ -z "$peers" ] || mount --bind "$peers" "$root/srv/peers"
here=/srv/checkout/tests/system/aarch64

for processor in cortex-a72 cortex-a76; do
    cpuinfo "$processor" >"$root/srv/cpuinfo"
    mount --bind "$root/srv/cpuinfo" "$root/proc/cpuinfo"
    emulate "$root" "$processor" /usr/bin/python3.11 "$here/results.py" /srv/inputs "/srv/results-$processor.json"
    emulate "$root" "$processor" -plugin /opt/emulator/count_instructions.so -d plugin -D /tmp/counts.log \
        /usr/bin/python3.11 "$here/counts.py" /srv/inputs /tmp/counts.log "/srv/counts-$processor.json" ${peers:+/srv/peers}
    umount "$root/proc/cpuinfo"
done
