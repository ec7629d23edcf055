# The same content under a lower version stands for the version before; its database has the first schema of all, with requests in it.
guest systemctl stop staticstored
older=$work/older
mkdir "$older"
dpkg-deb --raw-extract "$package" "$older/tree"
sed -i 's/^Version: .*/Version: 0.0.1/' "$older/tree/DEBIAN/control"
dpkg-deb --root-owner-group --build "$older/tree" "$older/older.deb" >/dev/null
put /tmp/older.deb <"$older/older.deb"
check "an older package can be put in its place" guest dpkg --install --force-downgrade /tmp/older.deb
check "and leaves stopped what was stopped" is ActiveState inactive

guest systemctl start staticstored
insert upgraded 60
before=$(pid)
check "an upgrade under way asks nothing" guest dpkg --install /tmp/staticstored.deb
check "it restarts the daemon, once" eval 'is_another "$before" && is NRestarts 0'
check "and keeps the configuration" eval 'guest grep -q wx0000000000000001 /etc/staticstored/config.toml'
check "and the requests" wait_for 60 says "SELECT count(*) FROM queue" 0
check "all of them" says "SELECT count(*) FROM status WHERE env LIKE 'upgraded-%' AND state = 'online'" 60

guest systemctl stop staticstored
check "an upgrade of what is stopped" guest dpkg --install /tmp/staticstored.deb
check "does not start it" is ActiveState inactive

power_off
boot
check "after a reboot it starts by itself" wait_for 10 is_active
check "with the token that it had" logged 'the token of the last run is still live'
insert rebooted 5
check "and goes on" wait_for 30 says "SELECT count(*) FROM queue" 0
