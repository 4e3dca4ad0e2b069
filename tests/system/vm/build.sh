#!/bin/bash
# Builds the virtual machine of the system tests: Debian bookworm with Facelatch installed by its own installer, and
# parts that behave like a Pi's: GPIO lines (gpio-sim), V4L2 cameras (v4l2loopback, vivid), a hardware watchdog (i6300esb),
# a TPM (swtpm).
#
#   build.sh OUT WHEELS     root, on Debian 12. WHEELS: Facelatch's wheel and those it needs
#
# Makes OUT/vmlinuz, OUT/initrd.img and OUT/root.img. Exit code 75 when what it needs cannot be fetched.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
repo=$(cd -- "$here/../../.." && pwd)
out=$1 wheels=$2
work=$out/work
root=$work/root
mkdir -p "$work"

lap() { echo "virtual machine: $* ($SECONDS s)"; }
cannot_fetch() { echo "$*: $(tail -n 2 "$work/log" | tr '\n' ' ')" >&2; exit 75; }

fetch_tools() {
    if ! grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
        echo "its kernel modules are built on Debian 12 (bookworm) only" >&2
        exit 75
    fi
    {
        flock 9 # see need_packages in ../debian.sh
        apt-get -o DPkg::Lock::Timeout=300 update -qq || true # the lists may be fresh enough
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends \
            qemu-system-x86 qemu-utils mmdebstrap e2fsprogs busybox-static kmod cpio gcc-12 make bc xz-utils \
            linux-headers-amd64 linux-source-6.1 swtpm
    } 9>/run/lock/facelatch-apt >"$work/log" 2>&1 || cannot_fetch "apt has no QEMU or no kernel headers"
    # The mirror this machine uses itself.
    # shellcheck disable=SC2016  # apt's placeholders, not the shell's
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
    # shellcheck disable=SC2016  # a format of dpkg-query
    kernel=$(dpkg-query -W -f '${Depends}' linux-headers-amd64 | grep -o 'linux-headers-[^ ,]*amd64' | head -n 1)
    kernel=${kernel#linux-headers-}
}

fetch_kernel() { # only unpacked, never installed here
    (cd "$work" && apt-get download -qq "linux-image-$kernel" v4l2loopback-dkms) >"$work/log" 2>&1 ||
        cannot_fetch "apt does not download the kernel"
    dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
    dpkg-deb -x "$work"/v4l2loopback-dkms_*.deb "$work/v4l2loopback"
    cp "$work/kernel/boot/vmlinuz-$kernel" "$out/vmlinuz"
}

fetch_system() {
    # Its mounts are its own, so that an interrupted one leaves none behind.
    unshare --mount --fork --kill-child mmdebstrap --quiet --variant=minbase --mode=root --format=directory \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$(tr -s ' \n' , <<<'
            dbus e2fsprogs kmod libtss2-esys-3.0.2-0 libtss2-rc0 libtss2-tcti-device0 procps python3 python3-systemd python3-venv systemd systemd-sysv udev v4l-utils' | sed 's/^,//;s/,$//')" \
        bookworm "$root" "$mirror" >"$work/log" 2>&1 || cannot_fetch "mmdebstrap fails"
}

build_modules() {
    # Debian's kernel comes without gpio-sim, and what it needs of irq_sim is not exported: both in one module.
    local sim=$work/gpio-sim loopback
    mkdir "$sim"
    tar -C "$sim" --strip-components=3 -xJf /usr/src/linux-source-6.1.tar.xz linux-source-6.1/drivers/gpio/gpio-sim.c \
        linux-source-6.1/drivers/gpio/gpiolib.h linux-source-6.1/kernel/irq/irq_sim.c
    mv "$sim/gpio-sim.c" "$sim/lines.c"
    sed 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' "$sim/irq_sim.c" >"$sim/interrupts.c"
    printf 'obj-m := gpio-sim.o\ngpio-sim-y := lines.o interrupts.o\n' >"$sim/Makefile"
    loopback=$(echo "$work"/v4l2loopback/usr/src/v4l2loopback-*)
    for source in "$sim" "$loopback"; do
        make -s -C "/usr/src/linux-headers-$kernel" M="$source" modules
    done
    mkdir -p "$work/built"
    cp "$sim/gpio-sim.ko" "$loopback/v4l2loopback.ko" "$work/built"
}

with_dependencies() { # DIRECTORY MODULE...: the files to load, in order
    local directory=$1 module
    shift
    for module; do
        modprobe -d "$directory" -S "$kernel" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
    done | awk '!seen[$0]++'
}

install_modules() {
    local from=$work/kernel/lib/modules/$kernel to=$root/lib/modules/$kernel
    mkdir -p "$to/extra"
    cp "$from"/modules.{order,builtin,builtin.modinfo} "$to"
    depmod -b "$work/kernel" "$kernel"
    with_dependencies "$work/kernel" virtio_pci virtio_blk virtio_console virtio_rng ext4 crc32c_generic autofs4 configfs \
        videodev videobuf2-vmalloc vivid i6300esb | while read -r file; do
        install -D "$file" "$to/${file#"$from"/}"
    done
    cp "$work"/built/*.ko "$to/extra"
    find "$to" -name '*.ko' -exec strip --strip-debug {} +
    depmod -b "$root" "$kernel"
}

# As on a Pi with Raspberry Pi OS most libraries are the system's; the installer's environment sees them there.
install_libraries() {
    local libraries
    mapfile -t libraries < <(find "$wheels" -name '*.whl' ! -name 'facelatch-*')
    "${PIP:-/usr/bin/python3}" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile \
        --target "$root/usr/local/lib/python3.11/dist-packages" "${libraries[@]}"
}

install_facelatch() {
    mkdir -p "$root/srv/repo" "$root/srv/wheels"
    cp -R "$repo/deploy" "$repo/daemon" "$repo/config" "$root/srv/repo"
    cp "$wheels"/facelatch-*.whl "$root/srv/wheels"
    # No systemd runs in there yet: nothing is active, and there is nothing to start.
    mkdir "$root/srv/bin"
    # shellcheck disable=SC2016  # the variables belong to the script that is written
    printf '#!/bin/sh\n[ "$1" != is-active ] && [ "$1" != is-enabled ]\n' >"$root/srv/bin/systemctl"
    chmod 755 "$root/srv/bin/systemctl"
    # shellcheck disable=SC2016  # the variables belong to the inner shell
    unshare --mount --fork bash -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        chroot "$1" env -i PATH=/srv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_NO_INDEX=1 sh -eu -c "
            python3 -m compileall -q /usr/local/lib/python3.11/dist-packages >/dev/null || true
            sh /srv/repo/deploy/install.sh --no-apt --wheel /srv/wheels/facelatch-*.whl"
        ' chroot "$root" >"$work/install.log" 2>&1 || { tail -n 20 "$work/install.log" >&2; exit 1; }
    rm -r "$root/srv/bin"
}

configure_guest() {
    echo facelatch-test >"$root/etc/hostname"
    printf '%s\n' '/dev/vda / ext4 rw,relatime 0 1' '/dev/vdc /var/lib/facelatch ext4 rw,relatime 0 2' >"$root/etc/fstab"
    cp -R "$here"/guest/. "$root"
    chmod 755 "$root"/usr/local/sbin/* "$root"/usr/lib/systemd/system-shutdown/*
    chroot "$root" systemctl --quiet enable test-agent test-pins test-camera
    # An emulated processor is slow: what the tests do not need stays off.
    chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer serial-getty@ttyS0.service getty@tty1.service systemd-logind.service \
        systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
}

make_disks() {
    local size initrd=$work/initrd
    size=$(($(du -sm "$root" | cut -f 1) + 600))
    mkfs.ext4 -q -F -E lazy_itable_init=0 -d "$root" "$out/root.img" "${size}M"
    mkdir -p "$initrd"/{bin,dev,proc,sys,new,modules}
    cp /bin/busybox "$initrd/bin"
    cp "$here/init.sh" "$initrd/init"
    chmod 755 "$initrd/init"
    with_dependencies "$root" virtio_pci virtio_blk crc32c_generic ext4 | while read -r file; do
        cp "$file" "$initrd/modules"
        basename "$file" >>"$initrd/modules/order"
    done
    (cd "$initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$out/initrd.img"
}

fetch_tools
fetch_kernel
lap "tools and kernel $kernel are there"
build_modules >"$work/modules.log" 2>&1 &
fetch_system
lap "Debian is unpacked"
wait $! || { tail -n 20 "$work/modules.log" >&2; exit 1; }
install_modules
lap "modules are installed"
install_libraries
install_facelatch
configure_guest
lap "Facelatch is installed"
make_disks
rm -rf --one-file-system -- "$work"
lap "done, $(du -m "$out/root.img" | cut -f 1) MB"
