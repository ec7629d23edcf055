#!/usr/bin/env bash
# Installs the Debian package on a machine whose first process is systemd, and lives with it: starts and mistakes, feeders, kills
# and hangs, reloads, upgrades, a reboot, the removal. A Weixin is simulated beside it, whose ledger says at the end whether
# anything was opened twice.
#
#   tests/systemd/boot.sh [--required] [PACKAGE.deb]
#
# Without a package deploy/package builds it. Where no such machine can be had it says why and does nothing; that
# counts as a failure with --required.
#
#   ROOTFS=DIR   see rootfs.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

required=''
if [ "${1:-}" = --required ]; then required=yes; shift; fi
. tests/systemd/machine.sh
trap dispose EXIT
trap 'exit 130' INT TERM

why_not=$(hindrance)
if [ "$why_not" ]; then
    echo "skipped: no systemd can be booted: $why_not"
    [ -z "$required" ]
    exit
fi

package=${1:-$(deploy/package deb)}
passed=0 failed=0

# check WHAT COMMAND...: one line, and what was said where it fails.
check() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "NOT OK  $what"
        { printf '%s\n' "$output" | tail -n 20; guest journalctl --lines=10 --no-pager --output=cat; } | sed 's/^/        | /'
    fi
}

# The words that the checks are made of.
systemctl_in() { guest systemctl "$@"; }
property() { guest systemctl show --property="$1" --value staticstored; }
is() { [ "$(property "$1")" = "$2" ] || { echo "$1 is $(property "$1"), not $2"; return 1; }; }
is_active() { is ActiveState active; }
pid() { property MainPID; }
# The daemon as the host numbers it.
pid_outside() {
    local file
    file=$(find "${groups[@]}" -path '*/staticstored.service/cgroup.procs' 2>/dev/null | head -n 1)
    head -n 1 "$file"
}
is_another() { is_active && [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ]; }
# Whether the daemon's journal since the boot holds a line that matches.
journal() { guest journalctl --boot --unit=staticstored --output=cat --no-pager; }
logged() { grep -E -- "$1" <<<"$(journal)" || { journal | tail -n 15; return 1; }; }
sql() { as root "sqlite3 -cmd '.timeout 5000' /var/lib/staticstored/queue.db \"$1\"" | grep -v '^5000$' || true; }
says() { [ "$(sql "$1")" = "$2" ] || { echo "$1: $(sql "$1"), not $2"; return 1; }; }
all_online() { says "SELECT count(*) FROM status WHERE state <> 'online'" 0; }
insert() { sql "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < $2) INSERT INTO queue (env) SELECT '$1-' || i FROM n"; }
refused() { ! "$@"; }
# A part of the unit that a check needs otherwise: drop_in NAME [LINE...]; without lines it is taken away.
drop_in() {
    local directory=/run/systemd/system/staticstored.service.d
    if [ $# -gt 1 ]; then
        guest mkdir -p $directory
        { echo '[Service]'; printf '%s\n' "${@:2}"; } | put "$directory/$1.conf"
    else
        guest rm -f "$directory/$1.conf"
    fi
    guest systemctl daemon-reload
}
# Writes standard input into a file of the machine.
put() { guest tee "$1" >/dev/null; }
configure() { put /etc/staticstored/config.toml; }

furnish
boot
for topic in tests/systemd/checks/*.sh; do
    echo "== $(basename "$topic" .sh | sed 's/^[0-9]*-//; s/-/ /g')"
    . "$topic"
done
echo "$passed ok, $failed not, in $SECONDS s"
[ $failed = 0 ]
