#!/usr/bin/env bash
# The package and the tarball, without a booted systemd: built, linted, unpacked; installed, upgraded, removed, purged and
# installed by hand in a root of their own. (What a running service makes of it, boot.sh sees.) Installs nothing on this
# machine. Needs root.
#
#   ROOTFS=DIR   see rootfs.sh
#
# shellcheck disable=SC2016 # what stands in single quotes is expanded in the root
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/systemd/rootfs.sh
. tests/systemd/rootfs.sh

missing() { echo "missing: $1 (Debian: apt-get install $2)" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "needs root, for a root of its own" >&2; exit 1; }
for tool in lintian mmdebstrap sqlite3; do command -v "$tool" >/dev/null || missing "$tool" "$tool"; done

# In a mount namespace of its own: whatever happens, no mount is left behind.
[ "${OWN_MOUNTS:-}" ] || exec env OWN_MOUNTS=yes unshare --mount --propagation private tests/systemd/package.sh

work=$(mktemp -d)
root=$work/root
trap 'umount -R "$root" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT

passed=0 failed=0
# A line for each thing that must hold; what was seen, where it does not.
ok() {
    local what=$1
    shift
    if "$@" > "$work/seen" 2>&1; then
        passed=$((passed + 1)) && echo "ok     $what"
    else
        failed=$((failed + 1)) && echo "not ok $what" && sed 's/^/       | /' "$work/seen"
    fi
}
is() { [ "$1" = "$2" ] || { printf 'seen: %s\nnot:  %s\n' "$1" "$2"; return 1; }; }
says() { grep -qF -- "$1" "$2" || { echo "not found: $1"; cat "$2"; return 1; }; }
absent() { local path; for path in "$@"; do [ ! -e "$path" ] && [ ! -L "$path" ] || { ls -ld "$path"; return 1; }; done; }

# A command in the root, as its administrator; with a script and arguments: `guest sh -c '...'`.
guest() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@" < /dev/null; }
refused() { local status=$1 seen=0; shift; "$@" || seen=$?; is "$seen" "$status"; }

# A root of its own: changes go to a directory of ours, $rootfs stays as it is.
fresh_root() {
    umount -R "$root" 2>/dev/null || true
    rm -rf "$work/changes" "$work/overlay"
    mkdir -p "$root" "$work/changes" "$work/overlay"
    mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$work/changes,workdir=$work/overlay" "$root"
    mount -t proc proc "$root/proc"
    cp "$work"/*.deb "$tarball" "$root/root/"
}

echo "== a minimal Debian"
make_rootfs

echo "== deploy/package"
deploy/package > "$work/built"
{ read -r deb && read -r tarball; } < "$work/built"

for topic in contents lifecycle by_hand; do
    echo "== ${topic/_/ }"
    # shellcheck source=/dev/null
    . "tests/systemd/package/$topic.sh"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
