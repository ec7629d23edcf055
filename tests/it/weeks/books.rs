//! The books that must agree, whatever has happened.

use std::collections::HashMap;

use staticstored::clock::text;
use staticstored::outcome::CONFIRM_REMEDY;
use staticstored::simulator::{Endpoint, Entry};

use super::life::Life;

/// Rows of one table that miss their counterpart in the other.
const LOST: &str = "SELECT 'owed, but not in queue: ' || env FROM status \
                     WHERE finished_at IS NULL AND env NOT IN (SELECT env FROM queue) \
                    UNION ALL \
                    SELECT 'in queue, but not owed: ' || env FROM queue \
                     WHERE env NOT IN (SELECT env FROM status WHERE finished_at IS NULL)";
/// A token is renewed ten minutes before its two hours are over.
const TOKEN_LASTS: chrono::TimeDelta = chrono::TimeDelta::minutes(110);
/// What Weixin says of a token that is dead.
const DEAD: [i64; 3] = [40001, 40014, 42001];

/// The platform's ledger by what was called about which env, and what was answered.
type Calls = HashMap<(&'static str, String, Option<i64>), u64>;

impl Life {
    /// Compares the database with itself and with the platform's ledger.
    pub(super) async fn compare_books(&self) {
        assert_eq!(self.column(LOST).await, Vec::<String>::new());
        let known = self.column("SELECT env FROM status ORDER BY env").await;
        assert_eq!(known, self.requested.iter().cloned().collect::<Vec<_>>());
        let ledger = self.world.simulator.ledger();
        if self.world.simulator.needless_creates() > 0 {
            panic!(
                "created twice: {:#?}",
                self.about_those_created_twice(&ledger).await
            );
        }
        let calls = calls(&ledger);
        self.history_is_true(&calls).await;
        self.status_is_true().await;
        self.attempts_are_counted(&calls).await;
        self.waits_are_bounded().await;
        self.exchanges_have_reasons(&ledger);
    }

    /// What the platform and the database know of the envs that were created more than once.
    async fn about_those_created_twice(&self, ledger: &[Entry]) -> Vec<String> {
        let mut told = Vec::new();
        let twice = |env: &&String| self.world.simulator.effective_creates(env) > 1;
        for env in self.requested.iter().filter(twice) {
            let of_env = ledger.iter().filter(|entry| entry.env.as_ref() == Some(env));
            told.extend(of_env.map(|entry| format!("{entry:?}")));
            for table in ["attempt", "status", "queue"] {
                let sql = format!("SELECT '{table}', * FROM {table} WHERE env = '{env}'");
                let rows = self.rows(&sql).await;
                told.extend(rows.iter().map(|row| row.join("|")));
            }
        }
        told
    }

    /// The history has no call that was not made, and no answer that was not given.
    async fn history_is_true(&self, calls: &Calls) {
        let sql = "SELECT call, env, errcode, count(*) FROM attempt
                    WHERE errcode IS NOT NULL GROUP BY 1, 2, 3
                   UNION ALL
                   SELECT call, env, NULL, count(*) FROM attempt WHERE http_status IS NOT NULL GROUP BY 1, 2";
        for row in self.rows(sql).await {
            let (errcode, written): (Option<i64>, u64) = (row[2].parse().ok(), row[3].parse().unwrap());
            let of_row = calls.iter().filter(|((call, env, answer), _)| {
                *call == row[0] && *env == row[1] && (errcode.is_none() || *answer == errcode)
            });
            let given = of_row.map(|(_, n)| n).sum();
            assert!(written <= given, "{row:?}: the ledger has {given} of these");
        }
    }

    /// `status` says nothing that Weixin did not say.
    async fn status_is_true(&self) {
        // The answer that it shows is one of the history, which is compared with the ledger.
        let unheard = "SELECT env, errcode, errmsg FROM status
                        WHERE errcode IS NOT NULL
                          AND NOT EXISTS (SELECT 1 FROM attempt
                                           WHERE attempt.env = status.env AND attempt.errcode = status.errcode
                                             AND attempt.errmsg = status.errmsg)
                       UNION ALL
                       SELECT env, rid, errmsg FROM status WHERE rid IS NOT NULL AND instr(errmsg, rid) = 0";
        assert_eq!(self.rows(unheard).await, Vec::<Vec<String>>::new());
        let sites = "SELECT env, state, coalesce(domain, ''), coalesce(remedy, '') FROM status";
        for row in self.rows(sites).await {
            let [env, state, domain, remedy] = row.as_slice() else {
                unreachable!()
            };
            let store = self.world.simulator.store(env);
            if state == "online" {
                assert_eq!(store.as_deref(), Some("online"), "{env}");
            }
            if remedy.contains("destroy it there") {
                assert_eq!(store.as_deref(), Some("create_fail"), "{env}");
            }
            assert!(
                domain.is_empty() || domain.starts_with(&format!("{env}-")),
                "{env}: {domain}"
            );
        }
    }

    /// No more creates are counted than were made, or may have been made by a daemon that died.
    async fn attempts_are_counted(&self, calls: &Calls) {
        for row in self.rows("SELECT env, attempts FROM status").await {
            let made = ["create"].map(|word| {
                let of_env = calls
                    .iter()
                    .filter(|((call, env, _), _)| *call == word && *env == row[0]);
                of_env.map(|(_, n)| n).sum::<u64>()
            })[0];
            let (counted, unsent): (u64, u64) = (row[1].parse().unwrap(), self.unsent(&row[0]).await);
            assert!(
                counted <= made + unsent + self.crashes,
                "{}: {counted} creates counted, {made} made, {unsent} not sent, {} crashes",
                row[0],
                self.crashes
            );
        }
    }

    /// How many creates found no connection: the platform knows nothing of them.
    async fn unsent(&self, env: &str) -> u64 {
        let sql = format!(
            "SELECT count(*) FROM attempt WHERE env = '{env}' AND call = 'create' AND http_status IS NULL"
        );
        self.column(&sql).await[0].parse().unwrap()
    }

    /// What is to be tried again is tried within the bound of its backoff, or when the outcome asks for it.
    async fn waits_are_bounded(&self) {
        let sql = format!(
            "SELECT q.env, a.outcome, max(q.failures, q.unknowns), q.accepted_at IS NOT NULL,
                    (julianday(q.retry_at) - julianday(s.updated_at)) * 86400, q.retry_at >= a.at
               FROM queue AS q JOIN status AS s ON s.env = q.env
                               JOIN attempt AS a ON a.id = (SELECT max(id) FROM attempt WHERE env = q.env)
              WHERE q.claim IS NULL AND q.retry_at IS NOT NULL AND a.id > {} AND a.at >= '{}'
                AND (q.failures + q.unknowns > 0 OR q.accepted_at IS NOT NULL)",
            self.known_at_jump,
            text(self.jumped_to)
        );
        for row in self.rows(&sql).await {
            let (tries, wait): (u32, f64) = (row[2].parse().unwrap(), row[4].parse().unwrap());
            let backoff = f64::from(1_u32 << tries.saturating_sub(1).min(20)).min(300.0);
            let bound = match (row[1].as_str(), row[3].as_str()) {
                ("retry", _) | ("not_yet", "0") => backoff,
                ("accepted" | "not_yet", _) => 60.0,
                ("absent", _) => 0.0,
                // The line's own rest, and some seconds for another to probe.
                ("line" | "token", _) => 300.0 + 10.0,
                other => panic!("{row:?}: {other:?} is no reason to wait"),
            };
            // A millisecond for the arithmetic of days.
            assert!(wait <= bound + 0.001, "{row:?}: over {bound} s");
            assert_eq!(row[5], "1", "{row:?}: before the call that it follows");
        }
    }

    /// No token is fetched while the last one lives, unless its answer was lost, Weixin refused it, or the daemon's clock
    /// jumped.
    fn exchanges_have_reasons(&self, ledger: &[Entry]) {
        let effective: Vec<usize> = (0..ledger.len())
            .filter(|i| ledger[*i].endpoint == Endpoint::Exchange && ledger[*i].took_effect)
            .collect();
        for pair in effective.windows(2) {
            let (last, next) = (&ledger[pair[0]], &ledger[pair[1]]);
            let is_dead = |entry: &Entry| entry.errcode.is_some_and(|errcode| DEAD.contains(&errcode));
            let was_refused = ledger[pair[0]..pair[1]].iter().any(is_dead);
            let jumped = self.jumps.iter().any(|at| (last.at..=next.at).contains(at));
            assert!(
                !last.answered || was_refused || jumped || next.at - last.at >= TOKEN_LASTS,
                "a token is fetched at {} although there is that of {}",
                text(next.at),
                text(last.at)
            );
        }
    }

    /// Whatever is due has been served while nothing is in the way: there is a token, the line is open, nobody has paused. (A lane
    /// that has just claimed in vain rests for a tenth of a second: until time goes on.)
    pub(super) async fn nobody_starves(&mut self) {
        let now = text(self.world.clock.now());
        let sql = format!(
            "SELECT id, env, claim, due_at FROM queue
              WHERE (claim IS NOT NULL OR coalesce(due_at, '') <= '{now}')
                AND EXISTS (SELECT 1 FROM service
                             WHERE state = 'running' AND reason IS NULL AND token_expires_at > '{now}')"
        );
        let hungry = match self.process {
            Some(_) if !self.paused => self.rows(&sql).await,
            _ => Vec::new(),
        };
        let starving: Vec<_> = hungry.iter().filter(|row| self.hungry.contains(row)).collect();
        assert!(
            starving.is_empty(),
            "at {now}: {starving:?}, {:?}",
            self.rows("SELECT * FROM service").await
        );
        self.hungry = hungry;
    }

    /// Nothing is owed any more, and each request has an end that the platform knows of.
    pub(super) async fn everything_has_ended(&self) {
        let open = self.rows("SELECT * FROM queue").await;
        let service = self.rows("SELECT * FROM service").await;
        let now = text(self.world.clock.now());
        assert_eq!(open, Vec::<Vec<String>>::new(), "at {now}: {service:?}");
        // Whatever is open is online, unless it was given up while nobody could see that it is, since Weixin said nothing or what
        // nobody knows; or when Weixin itself said that it was not yet (where the clock was set back, the platform's, which is the same, takes hours for what takes seconds).
        let failed = format!(
            "SELECT env FROM status WHERE state = 'failed' AND remedy NOT LIKE '%retry.give_up_after%'
                AND errcode IS NOT -604999
                AND NOT (remedy = '{CONFIRM_REMEDY}'
                         AND (SELECT errcode FROM attempt WHERE attempt.env = status.env ORDER BY id DESC LIMIT 1) = 0)"
        );
        for env in self.column(&failed).await {
            let history = format!("SELECT * FROM attempt WHERE env = '{env}' ORDER BY id");
            let (store, history) = (self.world.simulator.store(&env), self.rows(&history).await);
            assert_ne!(store.as_deref(), Some("online"), "{env}: {history:#?}");
        }
    }

    /// All that a life leaves behind: two of one seed leave the same. Left out is what real time writes: how long an answer
    /// took, and when SQLite itself says that a request was cancelled; and the system's words for a connection that was cut.
    pub(super) async fn all(&self) -> Vec<String> {
        let mut all = self.told();
        let ledger = self
            .world
            .simulator
            .ledger()
            .iter()
            .map(|entry| format!("{entry:?}"))
            .collect::<Vec<_>>();
        all.extend(ledger);
        for sql in [
            "SELECT id, env, at, call, errcode, CASE WHEN http_status IS NOT NULL THEN errmsg END, http_status, outcome FROM attempt ORDER BY id",
            "SELECT env, state, attempts, errcode, CASE WHEN errcode IS NOT NULL THEN errmsg END, rid, remedy, domain, bucket, region, request, requested_at,
                    next_attempt_at, CASE WHEN state <> 'cancelled' THEN finished_at END
               FROM status ORDER BY env",
        ] {
            let rows = self.rows(sql).await;
            all.extend(rows.iter().map(|row| row.join("|")));
        }
        all.push(text(self.platform.now()));
        all.push(text(self.world.clock.now()));
        all
    }
}

fn calls(ledger: &[Entry]) -> Calls {
    let mut calls = Calls::new();
    for entry in ledger {
        let word = match entry.endpoint {
            Endpoint::Create => "create",
            Endpoint::Describe => "describe",
            _ => continue,
        };
        let env = entry.env.clone().unwrap_or_default();
        *calls.entry((word, env, entry.errcode)).or_default() += 1;
    }
    calls
}
