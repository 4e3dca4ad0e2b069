#!/bin/sh
# Makes an aarch64 Debian bookworm root (Python 3.11, glibc 2.36) with Facelatch and its dependencies as wheels.
#
#   make_root.sh ROOT WHEEL       in mount and pid namespaces of its own, as run.sh calls it
#
# The packages are unpacked, not configured: that would take an emulator for every maintainer script.
set -eu
root=$1 wheel=$2
here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=tests/system/debian.sh
. "$here/../debian.sh"
# shellcheck source=tests/system/aarch64/emulate.sh
. "$here/emulate.sh"

debootstrap --foreign --arch=arm64 --variant=minbase --include=ca-certificates,python3-venv,libstdc++6,libgomp1 \
    bookworm "$root" "$(debian_mirror)"
for package in "$root"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -x --keep-directory-symlink
done
if [ -L "$root/proc" ]; then rm "$root/proc"; fi
rm -rf "${root:?}"/dev/*
mkdir -p "$root/proc" "$root/sys/devices/system/cpu" "$root/opt/emulator" "$root/srv"
for file in possible present online; do echo 0-3 >"$root/sys/devices/system/cpu/$file"; done

# The emulator needs libraries of this machine, not of the root.
cp /usr/bin/qemu-aarch64 "$root/opt/emulator/"
ldd /usr/bin/qemu-aarch64 | grep -oE '/[^ ]+' | xargs -I{} cp {} "$root/opt/emulator/"
gcc -Wall -Wextra -O2 -shared -fPIC -o "$root/opt/emulator/count_instructions.so" "$here/count_instructions.c"

cp "$wheel" "$root/srv/"
furnish "$root"
# The project's own choice first, then the other runtime and a peer beside it, held to what the project allows.
emulate "$root" cortex-a72 /usr/bin/python3.11 "$(cd "$root" && echo usr/share/python-wheels/pip-*.whl | sed 's,^,/,')/pip" \
    install --quiet --no-compile --only-binary :all: --target /opt/packages \
    "/srv/$(basename "$wheel")[pi]" tflite-runtime==2.14.0 'ai-edge-litert>=2.1,<3' ncnn
