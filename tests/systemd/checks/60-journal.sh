# Of the simulator: an environment whose name ends so fails for good, another meets Weixin's -1 first.
sql "INSERT INTO queue (env) VALUES ('journal-ok'), ('journal--not-opened'), ('journal--busy')"
check "three requests come to their ends" wait_for 60 says "SELECT count(*) FROM queue" 0

# entries FIELD=VALUE...: how many the journal holds.
entries() { guest journalctl --boot --output=json --no-pager "$@" 2>/dev/null | grep -c '^{' || true; }
check "the journal finds an environment by its field" [ "$(entries ENV=journal-ok)" -ge 1 ]
check "and one that failed by Weixin's errcode" [ "$(entries ENV=journal--not-opened WEIXIN_ERRCODE=85088)" -ge 1 ]
check "a failure is a warning" [ "$(entries ENV=journal--not-opened PRIORITY=4)" -ge 1 ]
check "an end in good order is not" [ "$(entries ENV=journal-ok PRIORITY=4)" = 0 ]
check "a hang was an error" [ "$(entries PRIORITY=3 _SYSTEMD_UNIT=staticstored.service)" -ge 1 ]
check "all of it under its own name" [ "$(entries ENV=journal-ok SYSLOG_IDENTIFIER=staticstored)" -ge 1 ]

drop_in chatty Environment=RUST_LOG=debug
guest systemctl restart staticstored
sql "INSERT INTO queue (env) VALUES ('again--busy')"
check "what is tried again is seen at debug" wait_for 30 eval '[ "$(entries ENV=again--busy WEIXIN_ERRCODE=-1)" -ge 1 ]'
check "and ends well" wait_for 60 says "SELECT count(*) FROM queue" 0
drop_in chatty
guest systemctl restart staticstored
token() { guest sh -c 'sed "s/.*component_access_token\":\"\([^\"]*\).*/\1/" /var/lib/staticstored/token.json'; }
check "no secret is in the journal" eval '! guest journalctl --boot --no-pager | grep -F -e "$secret" -e "$ticket" -e "$(token)" | grep .'
