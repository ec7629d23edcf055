config=/etc/staticstored/config.toml
guest cp $config /root/config.toml
before=$(pid)
sets() { guest cat /root/config.toml; printf '%s\n' "$@"; }

check "without a change, a reload says so" eval 'guest systemctl reload staticstored && wait_for 5 logged "nothing that can be changed meanwhile has changed"'
sets '[log]' 'level = "staticstored=debug,info"' '[retry]' 'max_backoff = "4m"' | put $config
check "a reload takes" guest systemctl reload staticstored
check "and says what has changed" wait_for 5 logged 'reloaded$'
changes() { guest journalctl --boot --unit=staticstored --output=json --no-pager | grep -o '"CHANGES":"[^"]*\("[^,}]*\)*' | tail -n 1; }
check "in a field of its own" eval '[[ "$(changes)" = *"retry.max_backoff from 5m to 4m"* ]] || { changes; exit 1; }'
sql "INSERT INTO queue (env) VALUES ('reloaded--busy')"
check "it logs at the new level" wait_for 30 eval '[ "$(entries ENV=reloaded--busy WEIXIN_ERRCODE=-1)" -ge 1 ]'
check "which ends well" wait_for 60 says "SELECT count(*) FROM queue" 0

sets '[retry]' 'max_backoff = "soon"' | put $config
check "a bad configuration makes systemctl reload fail" refused guest systemctl reload staticstored
check "with what is wrong" logged 'retry\.max_backoff'
check "and the daemon goes on" is_active
guest kill -HUP "$before"
check "so it does where the signal comes past systemctl" wait_for 5 logged 'the reload is refused; the old settings hold'
check "which systemctl status shows" wait_for 15 eval '[[ "$(property StatusText)" = *"the last reload was refused"* ]]'

sets '[share]' 'socket = "/run/staticstored/token.sock"' | put $config
check "what needs a restart is taken on by the next" guest systemctl reload staticstored
check "and named" wait_for 5 logged 'restart'
guest cp /root/config.toml $config
check "the old configuration again" guest systemctl reload staticstored

# systemd 252 makes its copies of the secrets anew for the commands of ExecReload=.
changed_secret() { guest journalctl --boot --unit=staticstored --output=json --no-pager | grep -c '"CHANGES":"the appsecret"' || true; }
printf 'fedcba9876543210fedcba9876543210' | put /etc/staticstored/appsecret
guest systemctl reload staticstored
check "a new secret comes with a reload" wait_for 5 eval '[ "$(changed_secret)" = 1 ]'
printf "" | put /etc/staticstored/appsecret
guest systemctl reload staticstored
check "a secret that is none is refused" wait_for 5 logged 'the reload is refused.*|appsecret.* is empty'
printf %s "$secret" | put /etc/staticstored/appsecret
guest systemctl reload staticstored
check "all of it by one process" eval '[ "$(pid)" = "$before" ] && is_active'
