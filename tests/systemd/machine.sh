# A machine of our own whose first process is systemd, for tests that must see a real one. Sourced by boot.sh.
#
# systemd-nspawn starts it in namespaces and, this is what keeps it from every process of the host, in cgroups that were made for
# it. It works where the host's own first process is no systemd, with the hybrid hierarchy too. What is written in it
# goes into an overlay and is gone at the end. Its network is a namespace with nothing but a loopback, in which the host
# may run programs as well (`beside`).

name=staticstored-test-$$
work=$(mktemp -d "${TMPDIR:-/tmp}/staticstored-boot.XXXXXX")
root=$work/root
# shellcheck source=tests/systemd/rootfs.sh
. tests/systemd/rootfs.sh
nspawn='' leader='' groups=()

# Says why no machine can be had here, if so.
hindrance() {
    [ "$(id -u)" = 0 ] || { echo "only root can boot one"; return; }
    local command
    for command in systemd-nspawn mmdebstrap nsenter ip dpkg-deb python3; do
        command -v $command >/dev/null || { echo "$command is missing (Debian: apt-get install systemd-container mmdebstrap iproute2 dpkg python3)"; return; }
    done
    mount --bind "$work" "$work" 2>/dev/null || { echo "nothing can be mounted here"; return; }
    umount "$work"
    ip netns add "$name" 2>/dev/null || { echo "no network namespace can be made here"; return; }
    local group
    for group in $(hierarchies); do
        mkdir "$group" 2>/dev/null || { echo "no cgroup can be made in ${group%/*}"; return; }
    done
}

# A group for the machine in every hierarchy that there is: below our own where controllers are separate (v1), at the top of
# the unified one.
hierarchies() {
    local controller own
    for controller in memory pids cpu cpuacct systemd; do
        [ -d "/sys/fs/cgroup/$controller" ] || continue
        own=$(awk -F: -v c="$controller" '{ n = split($2, names, ","); for (i = 1; i <= n; i++) if (names[i] == c || names[i] == "name=" c) print $3 }' /proc/self/cgroup)
        echo "/sys/fs/cgroup/$controller${own%/}/$name"
    done
    if [ -d /sys/fs/cgroup/unified ]; then
        echo "/sys/fs/cgroup/unified/$name"
    elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "/sys/fs/cgroup/$name"
    fi
}

# Makes the machine's disk; does not start it.
furnish() {
    mapfile -t groups < <(hierarchies)
    ip -n "$name" link set lo up
    make_rootfs
    mkdir "$root" "$work"/{upper,scratch}
    mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$work/upper,workdir=$work/scratch" "$root"
    # nspawn gives the controllers read-only, and MemoryMax= would be ignored in silence.
    cat >"$root/init" <<'END'
#!/bin/sh
for controller in memory pids cpu cpuacct; do
    [ -d /sys/fs/cgroup/$controller ] && mount -o remount,rw,nosuid,nodev,noexec,bind /sys/fs/cgroup/$controller
done
exec /lib/systemd/systemd "$@"
END
    chmod 755 "$root/init"
    # No consoles, no network set-up: what a service needs, and what boots with it.
    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
}

# Boots it and waits until it is up.
boot() {
    local group state=
    for group in "${groups[@]}"; do mkdir -p "$group"; done
    (
        for group in "${groups[@]}"; do echo $BASHPID >"$group/cgroup.procs"; done
        exec systemd-nspawn --quiet --directory="$root" --machine="$name" --kill-signal=SIGRTMIN+3 --console=pipe \
            --register=no --keep-unit --network-namespace-path="/run/netns/$name" --capability=all \
            --system-call-filter=bpf /init </dev/null >>"$work/console" 2>&1
    ) &
    nspawn=$!
    local _
    for _ in $(seq 300); do
        leader=$(pgrep -P $nspawn | head -n 1 || true)
        if [ "$leader" ] && [ "$(cat "/proc/$leader/comm")" = systemd ]; then
            state=$(guest systemctl is-system-running 2>/dev/null || true)
            case $state in running | degraded) return 0 ;; esac
        fi
        kill -0 $nspawn 2>/dev/null || break
        sleep 0.1
    done
    echo "it does not boot (${state:-no systemd}):"
    cat "$work/console"
    return 1
}

# Runs a command in it.
guest() { nsenter --target "$leader" --all -- "$@"; }
# Runs a script in it, as one of its users.
as() { local user=$1; shift; guest runuser -u "$user" -- sh -c "$*"; }
# Runs a program of the host in its network.
beside() { exec ip netns exec "$name" "$@"; }
is_off() { [ ! -e "/proc/$leader" ]; }

power_off() {
    guest systemctl poweroff >/dev/null 2>&1 || true
    wait_for 20 is_off || kill -KILL "$leader" || true
    wait "$nspawn" 2>/dev/null || true
    nspawn=
}

# Leaves nothing behind.
dispose() {
    local group job
    for job in $(jobs -p); do [ "$job" = "$nspawn" ] || kill "$job" 2>/dev/null || true; done
    if [ "$nspawn" ] && ! is_off; then power_off; fi
    for group in "${groups[@]}"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    if mountpoint -q "$root"; then umount "$root"; fi
    ip netns delete "$name" 2>/dev/null || true
    rm -rf --one-file-system "$work" "/run/systemd/nspawn/propagate/$name"
}

# Waits so many seconds for a command to succeed.
wait_for() {
    local tries=$(($1 * 10)) _
    shift
    for _ in $(seq $tries); do
        # (0, for in a trap a bare return would give what was the status before it.)
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}
