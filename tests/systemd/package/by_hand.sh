# Installed from the tarball, by the very commands of docs/OPERATIONS.md. Sourced by package.sh.
# shellcheck shell=bash disable=SC2154,SC2016

# The shell blocks of a section.
blocks() {
    awk -v heading="$1" '
        /^##/ { inside = $0 == heading }
        inside && /^```/ { shell = $0 == "```sh"; next }
        inside && shell' docs/OPERATIONS.md
}

fresh_root
{
    echo 'set -e; cd /root; sudo() { "$@"; }'
    # The one that needs a systemd that runs.
    echo 'systemctl() { [ "$1" = daemon-reload ] || command systemctl "$@"; }'
    blocks "### Installing without a package"
} > "$root/root/commands"
# The names of what was built here, where they are not those of the documents.
name=$(basename "$tarball" .tar.gz)
sed -i "s/staticstored-[0-9][^ ]*-linux-musl/$name/g" "$root/root/commands"
ok "the commands of the documents run" guest bash /root/commands
ok "the program is there" is "$(guest staticstored --version)" "staticstored $(dpkg-deb -f "$deb" Version)"
ok "the directory is the group's" is "$(guest stat -c '%U:%G %a' /var/lib/staticstored)" "staticstored:staticstored 2770"
ok "the service is enabled" is "$(guest systemctl is-enabled staticstored)" enabled
ok "systemd takes the unit" guest systemd-analyze verify --man=no --recursive-errors=one staticstored.service
# Beside the package's own files, the same are in the same places.
for file in bin/staticstored lib/systemd/system/staticstored.service lib/sysusers.d/staticstored.conf \
    lib/tmpfiles.d/staticstored.conf share/bash-completion/completions/staticstored \
    share/fish/vendor_completions.d/staticstored.fish; do
    ok "/usr/$file" test -s "$root/usr/$file" -a -e "$work/files/usr/$file"
done
ok "the package can be installed over it" guest dpkg --force-confold -i "/root/$current.deb"
ok "... and goes on with the same service" is "$(guest systemctl is-enabled staticstored)" enabled
