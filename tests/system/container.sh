#!/bin/bash
# Boots systemd as PID 1, in namespaces of its own, on a throw-away copy-on-write view of this machine's root.
#
#   container.sh WORK SHARED     WORK: an empty folder. SHARED is seen inside, read-only, as /mnt/shared
#
# Needs root, overlayfs and a cgroup2 mount. Nothing outside WORK is written; killing this process ends it all.
set -eu
work=$1 shared=$2
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
group=$cgroups/facelatch-test-$$
mkdir "$group"
echo "$group" >"$work/cgroup"
echo $$ >"$group/cgroup.procs"

# shellcheck disable=SC2016  # the variables belong to the inner shell
exec unshare --cgroup --pid --mount --uts --ipc --net --fork --kill-child --mount-proc bash -c '
set -eu
work=$1 shared=$2 root=$1/root
mount --make-rprivate /
# The upper layer may not lie below the lower one, so it gets a file system of its own.
mount -t tmpfs -o size=3g,mode=755 upper "$work"
mkdir "$work/upper" "$work/scratch" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" overlay "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # settings of the kernel are not ours to change
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for node in null zero full random urandom tty; do cp -a "/dev/$node" "$root/dev/"; done
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/mnt/shared"
mount -t devpts -o newinstance,ptmxmode=666 pts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs shm "$root/dev/shm"
mount --bind "$shared" "$root/mnt/shared"
mount -o remount,bind,ro "$root/mnt/shared"
rm -rf "$root/var/log/journal" # the host journal would be read along
hostname facelatch-test
# Not chroot: the kernel refuses user namespaces (PrivateUsers=) to whoever is in one.
mkdir -p "$root/before"
cd "$root"
pivot_root . before
umount -l /before
rmdir /before
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=0
' boot "$work" "$shared"
