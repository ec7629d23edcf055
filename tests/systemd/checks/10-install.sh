put /tmp/staticstored.deb <"$package"
program=$work/staticstored
dpkg-deb --fsys-tarfile "$package" | tar --extract --to-stdout ./usr/bin/staticstored >"$program"
chmod 755 "$program"

check "the package installs" guest dpkg --install /tmp/staticstored.deb
check "its unit is enabled" guest systemctl is-enabled staticstored
check "and not started, for it has no appid yet" is ActiveState inactive
check "members of the group may insert before the first start" \
    [ "$(guest stat -c '%a %U %G' /var/lib/staticstored)" = "2770 staticstored staticstored" ]

guest systemctl start staticstored 2>/dev/null || true
check "a start without configuration ends with 78" is ExecMainStatus 78
check "and is not tried again" is ActiveState failed
check "and says what is missing" logged 'component\.appid is required'

configure <<'END'
[component]
appid = "wx0000000000000001"
[api]
base_url = "http://127.0.0.1:8018"
[confirm]
initial_interval = "200ms"
max_interval = "1s"
END
guest systemctl reset-failed staticstored
guest systemctl start staticstored 2>/dev/null || true
check "a start without the secret ends with 78" is ExecMainStatus 78
check "and names the file that the secret belongs in" logged '/etc/staticstored/appsecret'
