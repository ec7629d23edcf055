# Installed, upgraded, removed, purged, where systemd is not running. Sourced by package.sh.
# shellcheck shell=bash disable=SC2154,SC2016

# The package under another version, with one more line in its configuration.
repack() {
    local version=$1 line=$2 tree=$work/tree
    rm -rf "$tree" && dpkg-deb -R "$deb" "$tree"
    sed -i "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control"
    [ -z "$line" ] || echo "$line" >> "$tree/etc/staticstored/config.toml"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$tree" "$work/$version.deb" > "$work/seen"
}
current=$(dpkg-deb -f "$deb" Version)
cp "$deb" "$work/$current.deb"
repack 0.0.1 "# of an earlier version"
repack "$current+later" "# of a later version"

state=$root/var/lib/staticstored
config=$root/etc/staticstored/config.toml
wanted=$root/etc/systemd/system/multi-user.target.wants/staticstored.service
install_deb() { guest dpkg -i "/root/$1.deb"; }
owner_mode() { guest stat -c '%U:%G %a' "$1"; }
rows() { guest sqlite3 /var/lib/staticstored/queue.db "SELECT group_concat(env, ' ') FROM (SELECT env FROM queue ORDER BY env)"; }

# A database as the first version made it: sqlx's own table says which migrations it has.
first_schema() {
    local migration=migrations/0001_queue_and_status.sql
    {
        cat "$migration"
        echo "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
            INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (1, 'queue and status', 1, x'$(sha384sum "$migration" | cut -d ' ' -f 1)', 0);
            INSERT INTO queue (env) VALUES ('test-env1'), ('test-env2');"
    } > "$root/srv/first.sql"
    guest runuser -u staticstored -- sh -c '
        umask 007 && sqlite3 /var/lib/staticstored/queue.db < /srv/first.sql && chmod 660 /var/lib/staticstored/queue.db'
}

fresh_root
install_deb 0.0.1 > "$work/out" 2>&1 || cat "$work/out"
ok "an installation says what is left to do" says "systemctl start staticstored" "$work/out"
ok "it is configured" is "$(guest dpkg-query -W -f '${Status}' staticstored)" "install ok installed"
ok "the user and the group are there" guest id staticstored
ok "the directory is the group's" is "$(owner_mode /var/lib/staticstored)" "staticstored:staticstored 2770"
ok "everybody may read the configuration" is "$(owner_mode /etc/staticstored/config.toml)" "root:root 644"
ok "the service is enabled" test -L "$wanted"
guest staticstored check > "$work/out" 2>&1 && echo "exit status 0" >> "$work/out"
ok "without an appid, check says so" says "component.appid is required" "$work/out"
ok "... and ends with 78" refused 78 guest staticstored check

first_schema
ok "an upgrade with an untouched configuration asks nothing" install_deb "$current"
ok "... and brings the new configuration" cmp deploy/staticstored.toml.example "$config"
ok "rows inserted before it are there" is "$(rows)" "test-env1 test-env2"
sed -i 's/^#appid = .*/appid = "wx0000000000000001"/' "$config"
guest sh -c 'chgrp staticstored /etc/staticstored/config.toml && chmod 640 /etc/staticstored/config.toml'
ok "the new version brings the old database up to date" guest runuser -u staticstored -- staticstored init
ok "... and keeps its rows" is "$(rows)" "test-env1 test-env2"
ok "... and the group may write it" is "$(owner_mode /var/lib/staticstored/queue.db)" "staticstored:staticstored 660"

# What an administrator and a daemon leave behind. (A secret that is not one.)
cp "$config" "$work/config.mine"
(umask 077 && echo 0123456789abcdef0123456789abcdef > "$root/etc/staticstored/appsecret")
mkdir -p "$root/etc/systemd/system/staticstored.service.d" "$root/srv/elsewhere"
echo "[Service]" > "$root/etc/systemd/system/staticstored.service.d/override.conf"
touch "$state"/token.json "$state"/token.json.new "$state"/queue.db.lock "$root/srv/elsewhere/queue.db"

ok "an upgrade that would change a changed configuration keeps it where nobody is to be asked" \
    guest dpkg --force-confold -i "/root/$current+later.deb"
ok "... with what is new beside it" says "# of a later version" "$config.dpkg-dist"
ok "a changed configuration is kept" cmp "$work/config.mine" "$config"
ok "... with its mode" is "$(owner_mode /etc/staticstored/config.toml)" "root:staticstored 640"
ok "an upgrade that changes no configuration asks nothing" install_deb "$current+later"
guest systemctl disable staticstored > "$work/out" 2>&1
ok "an older version can be installed again" guest dpkg --force-confold -i "/root/$current.deb"
ok "... and what was disabled stays so" absent "$wanted"
guest systemctl enable staticstored > "$work/out" 2>&1

ok "it can be removed" guest dpkg -r staticstored
ok "... program and unit are gone" absent "$root"/usr/bin/staticstored "$root"/usr/lib/systemd/system/staticstored.service
ok "... configuration and secret stay" test -e "$config" -a -e "$root/etc/staticstored/appsecret"
ok "... the database stays" is "$(rows)" "test-env1 test-env2"
ok "it can be installed again" install_deb "$current"
ok "... with the configuration as it was" cmp "$work/config.mine" "$config"
ok "... and is enabled as it was" test -L "$wanted"

# The last reader takes its own away.
touch "$state"/queue.db-wal "$state"/queue.db-shm
guest dpkg -P staticstored > "$work/out" 2>&1 || cat "$work/out"
ok "a purge says that the database is kept" says "/var/lib/staticstored is kept" "$work/out"
ok "... and nothing else" is "$(cd "$root" && find etc usr var run srv -name '*staticstored*' -o -name 'queue.db*' | sort | tr '\n' ' ')" \
    "srv/elsewhere/queue.db var/lib/staticstored var/lib/staticstored/queue.db var/lib/staticstored/queue.db-shm var/lib/staticstored/queue.db-wal "
ok "... with its rows" is "$(rows)" "test-env1 test-env2"
ok "... and its owner" is "$(owner_mode /var/lib/staticstored)" "staticstored:staticstored 2770"

ok "it can be installed over what a purge left" install_deb "$current"
touch "$state/queue.db.lock"
# As a daemon would that systemd did not start.
flock "$state/queue.db.lock" chroot "$root" dpkg -P staticstored > "$work/out" 2>&1 || cat "$work/out"
ok "a purge leaves the lock that a daemon holds" test -e "$state/queue.db.lock"

fresh_root
install_deb "$current" > "$work/out" 2>&1 || cat "$work/out"
guest dpkg -P staticstored > "$work/out" 2>&1 || cat "$work/out"
ok "a purge without a database leaves no directory" absent "$state" "$root/etc/staticstored"
