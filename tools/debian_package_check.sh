#!/bin/sh
# Installs the Debian package in a bare Debian 12, lets events flow, and purges it again. Needs root and debootstrap.
#
#     tools/debian_package_check.sh PACKAGE FOLDER
#
# FOLDER keeps the bare system for the next run; it takes some 400 MB. The check has a network of its own.
set -eu

package=$1
folder=$2
root=$folder/root
here=$(dirname "$(readlink -f "$0")")

if [ ! -e "$folder/base/usr/bin/apt-get" ]; then
    mkdir -p "$folder"
    debootstrap --variant=minbase bookworm "$folder/base.new"
    mv "$folder/base.new" "$folder/base"
fi
rm -rf --one-file-system "$root"
cp -a "$folder/base" "$root"
trap 'rm -rf --one-file-system "$root"' EXIT
cp "$package" "$root/tmp/kazoo-bridge.deb"
cp "$here/debian_package_check.py" "$root/tmp/"
cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true

inside() {
    # shellcheck disable=SC2016
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
        http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
        unshare --mount --pid --fork "$@" sh -ec '
            root=$1; shift
            mount --make-rprivate /
            mount --rbind /dev "$root/dev"
            mount -t proc proc "$root/proc"
            exec chroot "$root" "$@"
        ' sh "$root" sh -ec "$commands"
}

commands='apt-get -q update && apt-get -q install -y --no-install-recommends /tmp/kazoo-bridge.deb'
inside
commands='command -v ip >/dev/null || apt-get -q install -y --no-install-recommends iproute2'
inside
commands='ip link set lo up && exec python3 /tmp/debian_package_check.py'
inside --net
commands='apt-get -q purge -y kazoo-bridge
rm /tmp/kazoo-bridge.deb
test -e /var/lib/kazoo-bridge/kazoo-bridge.sqlite3
left=$(find / -xdev -path /proc -prune -o -path "/var/lib/kazoo-bridge*" -prune -o -name "*kazoo*" -print)
if [ -n "$left" ]; then echo "left after the purge: $left"; exit 1; fi'
inside
echo "the package installs, works, and leaves nothing but its data"
