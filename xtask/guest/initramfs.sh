#!/bin/busybox sh
# The guest's first program: finds the disks, mounts them, and goes on to the root disk's init.
export PATH=/bin
busybox mount -t devtmpfs none /dev
cd /
@LOAD@
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vdb ] && break
    busybox sleep 0.2
done
busybox mount -t ext4 /dev/vda /root
busybox mkdir -p "/root@WORKSPACE@"
busybox mount -t ext4 /dev/vdb "/root@WORKSPACE@"
busybox mkdir -p /root/lib/modules
busybox mount -o bind "/root@WORKSPACE@/guest/modules" /root/lib/modules
busybox ln -sfn "@WORKSPACE@/guest" /root/guest
busybox mount -o move /dev /root/dev
exec busybox switch_root /root /sbin/init
