//! The books that must agree, whatever has happened.

use staticstored::simulator::Endpoint;

use super::life::Life;

/// Rows of one table that miss their counterpart in the other.
const LOST: &str = "SELECT 'owed, but not in queue: ' || env FROM status \
                     WHERE finished_at IS NULL AND env NOT IN (SELECT env FROM queue) \
                    UNION ALL \
                    SELECT 'in queue, but not owed: ' || env FROM queue \
                     WHERE env NOT IN (SELECT env FROM status WHERE finished_at IS NULL)";

impl Life {
    /// Compares the database with itself and with the platform's ledger.
    pub(super) async fn compare_books(&self) {
        let world = &self.world;
        assert_eq!(world.rows(LOST).await, Vec::<String>::new());
        let known = world.rows("SELECT env FROM status ORDER BY env").await;
        assert_eq!(known, self.requested.iter().cloned().collect::<Vec<_>>());
        if world.simulator.needless_creates() > 0 {
            panic!("created twice: {:#?}", self.about_those_created_twice().await);
        }
        self.online_is_online().await;
        self.attempts_were_made().await;
        self.exchanges_have_reasons();
    }

    /// What the platform and the database know of the envs that were created more than once.
    async fn about_those_created_twice(&self) -> Vec<String> {
        let ledger = self.world.simulator.ledger();
        let mut told = Vec::new();
        let twice = |env: &&String| self.world.simulator.effective_creates(env) > 1;
        for env in self.requested.iter().filter(twice) {
            let of_env = ledger.iter().filter(|entry| entry.env.as_ref() == Some(env));
            told.extend(of_env.map(|entry| format!("{entry:?}")));
            for table in ["attempt", "status", "queue"] {
                let sql = format!("SELECT '{table}', * FROM {table} WHERE env = '{env}'");
                told.extend(self.world.rows(&sql).await);
            }
        }
        told
    }

    async fn online_is_online(&self) {
        for env in self
            .world
            .rows("SELECT env FROM status WHERE state = 'online'")
            .await
        {
            assert_eq!(
                self.world.simulator.store(&env).as_deref(),
                Some("online"),
                "{env}"
            );
        }
    }

    /// The history has no call that was not made, and no more calls are counted than were made or may have been.
    async fn attempts_were_made(&self) {
        for (word, endpoint) in [("create", Endpoint::Create), ("describe", Endpoint::Describe)] {
            let rows = self
                .world
                .rows(&format!(
                    "SELECT env || ' ' || count(*) FROM attempt WHERE call = '{word}' AND http_status IS NOT NULL GROUP BY env"
                ))
                .await;
            for row in rows {
                let (env, written) = row.split_once(' ').unwrap();
                let made = self.world.simulator.calls_for(endpoint, env);
                assert!(
                    written.parse::<u64>().unwrap() <= made,
                    "{word} {env}: {written} written down, {made} made"
                );
            }
        }
    }

    /// A token is fetched when the last one ends, was ended by somebody, or was lost with its answer or with the daemon.
    fn exchanges_have_reasons(&self) {
        let exchanges = self.world.simulator.exchanges();
        let life = self.minutes();
        let in_time = life / 100 + 2;
        // A tenth of the answers to exchanges are lost.
        let allowed = (in_time + 2 * self.upsets) * 5 / 4 + 5;
        assert!(
            exchanges <= allowed,
            "{exchanges} exchanges in {life} minutes with {} upsets",
            self.upsets
        );
    }

    /// Nothing is owed any more, and each request has an end that the platform knows of.
    pub(super) async fn everything_has_ended(&self) {
        let open = self
            .world
            .rows("SELECT env, call, due_at, claim, failures, unknowns, accepted_at FROM queue")
            .await;
        let service = self
            .world
            .rows("SELECT state, reason, errcode, token_expires_at FROM service")
            .await;
        let now = self.world.clock.now();
        assert_eq!(open, Vec::<String>::new(), "at {now}: {service:?}");
        // Whatever is open is online, unless it was given up while nobody could see that it is, or when Weixin itself said that it
        // was not yet (where the clock was set back, the platform's, which is the same, takes hours for what takes seconds).
        let failed = "SELECT env FROM status WHERE state = 'failed' AND remedy NOT LIKE '%retry.give_up_after%'
            AND NOT (remedy LIKE '%did not come online in time%'
                     AND (SELECT errcode FROM attempt WHERE attempt.env = status.env ORDER BY id DESC LIMIT 1) = 0)";
        for env in self.world.rows(failed).await {
            let store = self.world.simulator.store(&env);
            assert_ne!(
                store.as_deref(),
                Some("online"),
                "{env}: {:#?}",
                self.world
                    .rows(&format!("SELECT * FROM attempt WHERE env = '{env}' ORDER BY id"))
                    .await
            );
        }
    }
}
