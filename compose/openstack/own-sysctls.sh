#!/bin/sh
# own-sysctls COMMAND [arguments]
# Makes the sysctls of network namespaces writable, and runs the command. All of /proc/sys is
# read-only in a container; these alone are an agent's to set, in the namespaces that it makes.
# Those of the kernel (/proc/sys/kernel and others), which are the host's, stay read-only.
set -eu
fresh=$(mktemp -d)
mount -t proc -o nosuid,nodev,noexec proc "$fresh"
mount --bind "$fresh/sys/net" /proc/sys/net
umount "$fresh"
rmdir "$fresh"
exec "$@"
