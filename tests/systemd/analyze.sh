#!/usr/bin/env bash
# Reads the shipped unit as systemd does, without a booted systemd: no key unknown, no value wrong, every program in
# its place, and an exposure of at most 1.2 of 10. What only shows at run time (a filter too tight, a path that is
# read-only) it cannot see. Installs nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

unit=staticstored.service
highest=12 # tenths

missing() { echo "missing: $1 (Debian: apt-get install $2)" >&2; exit 1; }
command -v systemd-analyze >/dev/null || missing systemd-analyze systemd
command -v systemd-sysusers >/dev/null || missing systemd-sysusers systemd
[ -d /usr/lib/systemd/system ] || missing "systemd's own units in /usr/lib/systemd/system" systemd

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# A root with systemd's own units, ours, and a program wherever ours names one.
mkdir -p "$stage"/usr/{bin,lib/systemd,lib/sysusers.d} "$stage"/etc
cp -a /usr/lib/systemd/system "$stage/usr/lib/systemd/"
ln -s usr/lib "$stage/lib"
ln -s usr/bin "$stage/bin"
for program in staticstored kill; do install -m 755 /dev/null "$stage/usr/bin/$program"; done
install -m 644 "deploy/$unit" "$stage/usr/lib/systemd/system/$unit"
install -m 644 deploy/staticstored.sysusers "$stage/usr/lib/sysusers.d/staticstored.conf"

echo "== systemd-analyze verify $unit"
systemd-analyze --root="$stage" verify --man=no --recursive-errors=one "$unit"

echo "== systemd-analyze security $unit"
systemd-analyze security --offline=true --threshold="$highest" --no-pager "deploy/$unit"

echo "== systemd-sysusers"
systemd-sysusers --root="$stage" staticstored.conf
for kind in passwd group; do
    grep -q '^staticstored:' "$stage/etc/$kind" || { echo "no staticstored in $kind" >&2; exit 1; }
done
# The unit runs as the user that is made.
for key in User Group; do
    grep -qx "$key=staticstored" "deploy/$unit" || { echo "$unit: $key is not staticstored" >&2; exit 1; }
done
echo "ok"
