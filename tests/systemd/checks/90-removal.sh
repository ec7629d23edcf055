# Weixin's own account of the whole life above.
kill -INT $weixin
wait $weixin || true
check "nothing was opened twice" grep -q '(0 needless)' "$work/weixin"
check "and one token was enough for all of it" grep -q ' 1 tokens' "$work/weixin"

check "a removal stops it" guest dpkg --remove staticstored
check "and takes the program and the unit away" eval '! guest test -e /usr/bin/staticstored && ! guest systemctl cat staticstored'
check "it keeps the configuration and the database" guest test -s /etc/staticstored/config.toml -a -s /var/lib/staticstored/queue.db

put /tmp/staticstored.deb <"$package" # The first one went with the reboot.
check "it can be installed again" guest dpkg --install /tmp/staticstored.deb
check "and finds both" eval '[ "$(sql "SELECT count(*) > 100 FROM status")" = 1 ] && guest systemctl start staticstored'

check "a purge says what it leaves" eval 'guest dpkg --purge staticstored 2>&1 | grep "the database in /var/lib/staticstored is kept"'
left() { guest find / -xdev -name '*staticstored*' -not -path '/proc/*' -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/run/systemd/*' | sort | tr '\n' ' '; }
check "and that is all there is" eval '[ "$(left)" = "/var/lib/staticstored " ] || { left; exit 1; }'
check "which is the database alone" eval '[ "$(guest ls -A /var/lib/staticstored | grep -v "^queue.db\(-wal\|-shm\)\?$")" = "" ] || { guest ls -lA /var/lib/staticstored; exit 1; }'
check "and sound" eval '[ "$(sql "PRAGMA integrity_check")" = ok ]'
