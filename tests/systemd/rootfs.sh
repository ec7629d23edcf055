# Debian's smallest system with systemd, for the package's tests. Sourced by package.sh and machine.sh.
#
#   ROOTFS=DIR   where it is, or is made (30 s, 230 MB); default: target/rootfs

rootfs=$(realpath -m "${ROOTFS:-target/rootfs}")

make_rootfs() {
    [ ! -e "$rootfs/.ready" ] || return 0
    rm -rf --one-file-system "$rootfs"
    mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,sqlite3,procps,ca-certificates \
        bookworm "$rootfs"
    touch "$rootfs/.ready"
}
