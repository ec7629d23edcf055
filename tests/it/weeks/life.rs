//! What happens, and how time goes by.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use sqlx::Connection as _;
use staticstored::clock::{Clock, Timestamp, after, text};
use staticstored::simulator::{Endpoint, Fault, Opening};

use crate::world::{World, within};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Environments, so few that they are requested again and again.
const ENVS: usize = 24;
/// How long mended things may take, at most, to come to their end: longer than any backoff.
const LONGEST_END: Duration = Duration::from_secs(3 * 24 * 3600);

pub(super) struct Life {
    seed: u64,
    pub(super) world: World,
    /// The platform's time, which does not jump when the daemon's machine's does.
    platform: Clock,
    dice: Rng,
    /// Every env ever requested.
    pub(super) requested: BTreeSet<String>,
    /// How often time went backwards or forwards by itself, the daemon died, or a token was ended by somebody else.
    pub(super) upsets: u64,
    begun: Timestamp,
    /// When what goes on now is over.
    trouble_until: Option<Timestamp>,
    ticket_at: Timestamp,
    tickets_come: bool,
    /// What has happened, to be told when the books do not agree.
    log: Vec<String>,
}

impl Life {
    pub(super) async fn begin(seed: u64) -> Self {
        let platform = Clock::manual(Clock::system().now());
        let its = platform.clone();
        let mut world = World::with(|options| options.clock = its).await;
        world.clock = Clock::manual(platform.now());
        for (key, value) in [
            ("retry.initial_backoff", "1s"),
            ("retry.max_backoff", "5m"),
            ("confirm.initial_interval", "5s"),
            ("confirm.max_interval", "60s"),
        ] {
            world.set(key, value);
        }
        world.simulator.change(|options| {
            options.seed = seed;
            options.opening = Opening::online_after(3 * MINUTE);
            options.start_push_makes_ticket = false;
        });
        let now = platform.now();
        let mut life = Self {
            seed,
            world,
            platform,
            dice: Rng::with_seed(seed),
            requested: BTreeSet::new(),
            upsets: 0,
            begun: now,
            trouble_until: None,
            ticket_at: now,
            tickets_come: true,
            log: Vec::new(),
        };
        life.everyday_faults();
        life.world.start_to_crash();
        life
    }

    /// What goes wrong on any day.
    fn everyday_faults(&self) {
        for endpoint in [Endpoint::Create, Endpoint::Describe] {
            for fault in [
                Fault::on(endpoint).errcode(-1, "system error"),
                Fault::on(endpoint).errcode(-1, "system error").after_effect(),
                Fault::on(endpoint).cut(),
                Fault::on(endpoint).cut().after_effect(),
                Fault::on(endpoint).http(502),
                Fault::on(endpoint).no_json().after_effect(),
                Fault::on(endpoint).errcode(45011, "slow down"),
                Fault::on(endpoint).errcode(-604_999, "nobody knows"),
            ] {
                self.world.simulator.fault(fault.probability(0.03));
            }
        }
        for fault in [
            Fault::on(Endpoint::Exchange).errcode(-1, "system error"),
            Fault::on(Endpoint::Exchange).cut().after_effect(),
        ] {
            self.world.simulator.fault(fault.probability(0.1));
        }
    }

    /// Something happens, and then time goes by.
    pub(super) async fn event(&mut self) {
        match self.dice.u32(0..24) {
            0..=6 => self.request().await,
            7 | 8 => self.cancel().await,
            9 => self.outage().await,
            10 => self.refuse_connections().await,
            11 => self.blocked(45009, "daily quota").await,
            12 => self.blocked(61004, "client ip").await,
            13 => self.revoke_token(),
            14 => self.lose_tickets(),
            15 => self.gain_tickets(),
            16 | 17 => self.crash().await,
            18 => self.crash_in_mid_create().await,
            19 => self.restart().await,
            20 => self.jump(),
            21 => self.pause().await,
            22 => self.break_an_opening(),
            _ => self.postpone().await,
        }
        if self.world.is_down() {
            self.world.start_to_crash();
        }
        let (least, most) = [(1, 60), (60, 1800), (1800, 20_000)][self.dice.usize(0..3)];
        let whole = Duration::from_secs(self.dice.u64(least..most));
        self.let_go_by(whole).await;
    }

    /// Time goes by, in steps; what is over is over, and tickets come every ten minutes.
    async fn let_go_by(&mut self, whole: Duration) {
        let end = after(self.platform.now(), whole);
        while self.platform.now() < end {
            let step = (whole / 12).max(SECOND);
            self.platform.advance(step);
            self.world.clock.advance(step);
            let now = self.platform.now();
            if self.trouble_until.is_some_and(|until| until <= now) {
                self.end_trouble().await;
            }
            if self.tickets_come && now - self.ticket_at >= chrono::TimeDelta::minutes(10) {
                self.ticket_at = now;
                let ticket = self.world.simulator.new_ticket();
                self.write(&format!(
                    "INSERT INTO ticket (component_verify_ticket) VALUES ('{ticket}')"
                ))
                .await;
            }
            self.settle_down().await;
        }
    }

    /// Waits until no call is under way that could come to its end.
    async fn settle_down(&self) {
        let mut quiet = 0;
        for _ in 0..400 {
            let busy = self.world.simulator.in_flight() > self.world.simulator.held();
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Writes as a feeder with patience does: an hour of simulated time may be less than a machine takes for a commit.
    async fn write(&self, sql: &str) {
        let mut connection = self.world.connection().await;
        let written = async {
            while let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
            {
                let code = error
                    .as_database_error()
                    .and_then(|error| error.code().map(String::from));
                assert_eq!(code.as_deref(), Some("5"), "{sql}: {error}");
            }
        };
        within(written).await;
        connection.close().await.unwrap();
    }

    fn note(&mut self, what: impl Into<String>) {
        self.log
            .push(format!("{} {}", text(self.platform.now()), what.into()));
    }

    fn env(&mut self) -> String {
        format!("env-{}", self.dice.usize(0..ENVS))
    }

    async fn request(&mut self) {
        for _ in 0..self.dice.usize(1..6) {
            let (env, priority) = (self.env(), self.dice.i64(-2..3));
            let later = after(self.world.clock.now(), MINUTE * self.dice.u32(1..300));
            let not_before = if self.dice.u8(0..4) == 0 {
                format!("'{}'", text(later))
            } else {
                "NULL".to_owned()
            };
            self.note(format!("request {env} {not_before}"));
            self.write(&format!(
                "INSERT INTO queue (env, priority, not_before) VALUES ('{env}', {priority}, {not_before})"
            ))
            .await;
            self.requested.insert(env);
        }
    }

    async fn cancel(&mut self) {
        let env = self.env();
        self.note(format!("cancel {env}"));
        self.write(&format!("DELETE FROM queue WHERE env = '{env}'"))
            .await;
        if self.dice.bool() && self.requested.contains(&env) {
            self.note(format!("and request {env}"));
            self.write(&format!("INSERT INTO queue (env) VALUES ('{env}')"))
                .await;
        }
    }

    async fn postpone(&mut self) {
        let env = self.env();
        let later = text(after(self.world.clock.now(), MINUTE * self.dice.u32(1..120)));
        self.note(format!("postpone {env} to {later}"));
        self.write(&format!(
            "UPDATE queue SET not_before = '{later}' WHERE env = '{env}'"
        ))
        .await;
    }

    fn trouble_for(&mut self, most: Duration) {
        let wait = Duration::from_secs(self.dice.u64(60..most.as_secs()));
        self.trouble_until = Some(after(self.platform.now(), wait));
    }

    async fn outage(&mut self) {
        self.end_trouble().await;
        self.note("outage");
        self.world.simulator.set_busy(true);
        self.trouble_for(2 * HOUR);
    }

    async fn refuse_connections(&mut self) {
        self.end_trouble().await;
        self.note("no connections");
        self.world.simulator.refuse().await;
        self.trouble_for(HOUR);
    }

    async fn blocked(&mut self, errcode: i64, errmsg: &str) {
        self.end_trouble().await;
        self.note(format!("blocked by {errcode}"));
        self.world.simulator.clear_faults();
        self.world
            .simulator
            .fault(Fault::anywhere().errcode(errcode, errmsg));
        self.trouble_for(24 * HOUR);
    }

    async fn end_trouble(&mut self) {
        if self.trouble_until.take().is_some() {
            self.note("trouble is over");
            self.world.simulator.set_busy(false);
            self.world.simulator.accept().await;
            self.world.simulator.clear_faults();
            self.everyday_faults();
            self.write("UPDATE service SET paused = 0").await;
        }
    }

    fn revoke_token(&mut self) {
        self.note("another program fetches a token");
        self.world.simulator.revoke_token();
        self.upsets += 1;
    }

    fn lose_tickets(&mut self) {
        self.note("no tickets any more");
        self.tickets_come = false;
        if self.dice.bool() {
            self.world.simulator.expire_tickets();
        }
    }

    fn gain_tickets(&mut self) {
        self.note("tickets again");
        self.tickets_come = true;
    }

    async fn pause(&mut self) {
        self.end_trouble().await;
        self.note("pause");
        self.write("UPDATE service SET paused = 1").await;
        self.trouble_for(3 * HOUR);
    }

    fn break_an_opening(&mut self) {
        let env = self.env();
        self.note(format!("the next opening of {env} fails"));
        self.world
            .simulator
            .set_opening(&env, Opening::fails_after(2 * MINUTE));
    }

    fn jump(&mut self) {
        let by = chrono::TimeDelta::minutes(self.dice.i64(-300..300));
        self.note(format!("the clock jumps by {by}"));
        self.world.clock.set(self.world.clock.now() + by);
        self.upsets += 1;
    }

    async fn crash(&mut self) {
        self.note("crash");
        self.upsets += 1;
        self.world.crash().await;
    }

    async fn restart(&mut self) {
        self.note("restart");
        self.world.stop().await.unwrap();
    }

    /// The daemon dies with a create on its way, which took effect or did not.
    async fn crash_in_mid_create(&mut self) {
        let env = self.env();
        let effect = self.dice.bool();
        self.note(format!("crash in mid-create of {env}, effect: {effect}"));
        let fault = Fault::on(Endpoint::Create).env(env.clone()).once();
        let fault = if effect { fault.held() } else { fault.cut().held() };
        self.world.simulator.fault(fault);
        self.write(&format!("INSERT INTO queue (env) VALUES ('{env}')"))
            .await;
        self.requested.insert(env);
        self.let_go_by(MINUTE).await;
        self.crash().await;
        self.world.simulator.release();
    }

    /// Everything is as it should be again.
    pub(super) async fn mend_everything(&mut self) {
        self.note("everything is mended");
        self.trouble_until = Some(self.platform.now());
        self.end_trouble().await;
        self.world.simulator.clear_faults();
        self.world.simulator.release();
        self.tickets_come = true;
        let begun = self.platform.now();
        while self.owed().await > 0 && self.platform.now() < after(begun, LONGEST_END) {
            self.let_go_by(20 * MINUTE).await;
        }
    }

    /// How long it has lasted.
    pub(super) fn minutes(&self) -> u64 {
        (self.platform.now() - self.begun).num_minutes().unsigned_abs()
    }

    pub(super) async fn owed(&self) -> i64 {
        self.world
            .row("SELECT count(*) FROM queue")
            .await
            .parse()
            .unwrap()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} (WEEKS_SEEDS={}..{}); what happened:\n  {}",
                self.seed,
                self.seed,
                self.seed + 1,
                self.log.join("\n  ")
            );
        }
    }
}
