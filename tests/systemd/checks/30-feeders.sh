guest groupadd --force feeders
for user in alice bob; do guest useradd --create-home --groups staticstored $user; done
guest useradd --create-home eve

database=/var/lib/staticstored/queue.db
# feeds USER UMASK ENV: in one go, as a program does that is not there all the time.
feeds() { as "$1" "umask $2; sqlite3 -cmd '.timeout 5000' $database \"INSERT INTO queue (env) VALUES ('$3')\""; }
modes() { guest sh -c "stat -c '%n %a %G' /var/lib/staticstored/queue.db*" | sort | tr '\n' ' '; }
shared() { ! modes | tr ' ' '\n' | grep -E '^[0-9]+$' | grep -qvx 660 && modes | grep -q "$database 660 staticstored"; }

check "a member of the group inserts while the daemon runs" feeds alice 022 alice-1
check "another does with another umask" feeds bob 077 bob-1
check "all files may be written by the group, and by nobody else" eval 'shared || { modes; exit 1; }'
check "both are opened" wait_for 20 all_online
check "whoever is no member cannot read" refused as eve "sqlite3 -readonly $database 'SELECT * FROM status'"
check "nor write" refused feeds eve 022 eve-1
check "nor list the directory" refused as eve "ls /var/lib/staticstored"
check "nor read the token" refused as alice "cat /var/lib/staticstored/token.json"

# Who makes the -wal file is whoever comes first after it is gone.
for first in "alice 077" "bob 022"; do
    guest systemctl stop staticstored
    check "members insert while the daemon is stopped ($first)" feeds $first "${first% *}-2-${first#* }"
    (as "${first% *}" "umask ${first#* }; (echo '.timeout 5000'; echo \"INSERT INTO queue (env) VALUES ('${first% *}-3-${first#* }');\"; sleep 5) | sqlite3 $database") &
    feeder=$!
    check "one of them has the -wal file made" wait_for 5 guest test -s $database-wal
    check "and the daemon starts all the same" guest systemctl start staticstored
    check "the other inserts, too" feeds bob 022 "bob-3-${first%% *}"
    check "all files are the group's" eval 'shared || { modes; exit 1; }'
    check "all of it is opened" wait_for 20 all_online
    wait $feeder
done
