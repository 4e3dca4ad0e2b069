#!/bin/busybox sh
# The first process of the virtual machine: loads what the disk needs, then hands over to systemd on it.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r module; do $b insmod "/modules/$module"; done </modules/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do
    $b usleep 50000
    tries=$((tries + 1))
done
$b mount -t ext4 -o ro /dev/vda /new || exec $b sh
$b mount -o move /dev new/dev
$b umount /proc /sys
# A word of the kernel's command line: instead of a whole system only the program whose power is cut.
[ -z "${cuts:-}" ] || exec $b switch_root /new /opt/facelatch/bin/python /usr/local/sbin/test-cuts "$cuts"
exec $b switch_root /new /sbin/init
