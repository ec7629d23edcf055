# In mid-drain each time; the ledger says in the end whether anything was opened twice.
insert killed 60
before=$(pid)
guest systemctl kill --signal=KILL staticstored
check "after a SIGKILL it is started again" wait_for 10 is_another "$before"
check "and goes on with what there is" wait_for 60 all_online

drop_in watchdog WatchdogSec=4s
guest systemctl restart staticstored
insert hung 60
before=$(pid)
# SQLite's threads stop, as if the disk did not answer: the writer hangs, and only it.
python3 tests/systemd/hold.py "$(pid_outside)" sqlx-sqlite &
holder=$!
check "a loop that hangs is restarted by the watchdog" wait_for 20 is_another "$before"
kill $holder 2>/dev/null || true
wait $holder 2>/dev/null || true
check "and was named before" logged 'a loop hangs; systemd is to start us anew'
check "which systemd says, too" logged 'Watchdog timeout'
check "it leaves no core dump" eval '! guest sh -c "ls /var/lib/systemd/coredump/* /var/lib/staticstored/core* 2>/dev/null" | grep .'
check "and it goes on" wait_for 60 all_online
before=$(pid)
guest systemctl kill --signal=STOP staticstored
check "so is a daemon that is stopped as a whole" wait_for 20 is_another "$before"
drop_in watchdog
guest systemctl restart staticstored
check "the unit as it is shipped has a watchdog" is WatchdogUSec 2min

insert stopped 60
check "a stop in mid-drain comes to its end" guest systemctl stop staticstored
check "in good order" is Result success
check "and says so" says "SELECT state FROM service" stopped
guest systemctl start staticstored
check "and nothing is lost by it" wait_for 60 all_online

drop_in memory MemoryMax=3M
guest systemctl restart staticstored 2>/dev/null || true
check "beyond MemoryMax it is killed and tried again" wait_for 15 eval '[ "$(property NRestarts)" -ge 1 ]'
drop_in memory
check "and comes up with what the unit allows" wait_for 15 is_active
check "which is a bound" is MemoryMax 536870912
