(beside "$program" simulate --opening 500ms --config /dev/null) >"$work/weixin" 2>&1 &
weixin=$!
wait_for 10 grep -q 'a ticket' "$work/weixin"
secret=$(awk '/the appsecret/ { print $3 }' "$work/weixin")
ticket=$(awk '/a ticket/ { print $3 }' "$work/weixin")

printf %s "$secret" | put /etc/staticstored/appsecret
guest chmod 600 /etc/staticstored/appsecret
check "with the secret, which only root may read, it starts" guest systemctl restart staticstored
check "and is ready by its own word" is Type notify
check "without a ticket it waits for one" wait_for 10 says "SELECT state FROM service" waiting_for_ticket
printf '%s\n' "$ticket" | put /tmp/ticket
check "a ticket is taken" guest staticstored ticket /tmp/ticket
insert first 5
check "and what is inserted is opened" wait_for 20 all_online
check "systemctl status says what goes on" wait_for 15 eval '[[ "$(property StatusText)" = "online 5; token until "* ]]'

status() { guest grep "^$1:" "/proc/$(pid)/status"; }
check "it runs as its own user" [ "$(guest stat -c %U "/proc/$(pid)")" = staticstored ]
check "which cannot read its memory" [ "$(guest stat -c %U "/proc/$(pid)/mem")" = root ]
check "it has no privileges" eval 'for set in CapInh CapPrm CapEff CapBnd CapAmb; do status $set | grep -q "0000000000000000$" || exit 1; done'
check "and can gain none" eval 'status NoNewPrivs | grep -q "1$"'
check "its system calls are filtered" eval 'status Seccomp | grep -q "2$"'
check "it leaves no core" eval 'guest grep -q "^Max core file size *0 *0 " "/proc/$(pid)/limits"'
check "it may have a connection for each call and client" eval '[ "$(guest awk "/^Max open files/ { print \$4 }" "/proc/$(pid)/limits")" -ge 4096 ]'
within_sandbox() { nsenter --target "$(pid_outside)" --mount -- sh -c "$1"; }
check "it writes to its own directory alone" eval '! within_sandbox "touch /etc/x || touch /usr/x || touch /var/x || touch /var/lib/x" && within_sandbox "touch /var/lib/staticstored/x && rm /var/lib/staticstored/x"'
check "it sees nobody's home" eval '! within_sandbox "ls /home/* /root/*"'
second() { printf %s "$secret" | as staticstored 'umask 077; cat >/tmp/secret; STATICSTORED_COMPONENT__APPSECRET_FILE=/tmp/secret staticstored run'; }
check "a second daemon ends with 75 and names the first" eval 'said=$(second 2>&1) && exit 1; [ $? = 75 ] && [[ "$said" = *"is held by pid $(pid) on "* ]]'
