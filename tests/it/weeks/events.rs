//! What happens: chance decides what comes next.

use std::time::Duration;

use chrono::TimeDelta;
use staticstored::clock::{after, text};
use staticstored::simulator::{Fault, Opening};

use super::life::{HOUR, Life, MINUTE};

impl Life {
    /// Something happens, and then time goes by.
    pub(super) async fn event(&mut self) {
        match self.dice.u32(0..29) {
            0..=6 => self.request().await,
            7 | 8 => self.cancel().await,
            9 => self.outage().await,
            10 => self.refuse_connections().await,
            11 => self.blocked(45009, "daily quota").await,
            12 => self.blocked(61004, "client ip").await,
            13 => self.revoke_token(),
            14 => self.lose_tickets(),
            15 => self.gain_tickets(),
            16 | 17 => self.crash_some_time().await,
            18 | 19 => self.crash_while_it_writes().await,
            20 | 21 => self.crash_in_mid_call().await,
            22 => self.restart().await,
            23 => self.jump().await,
            24 => self.pause().await,
            25 => self.suspend().await,
            26 | 27 => self.suspend_before_a_create().await,
            _ => match self.dice.bool() {
                true => self.break_an_opening(),
                false => self.postpone().await,
            },
        }
        if self.process.is_none() {
            self.start().await;
        }
        let (least, most) = [(1, 60), (60, 1800), (1800, 20_000)][self.dice.usize(0..3)];
        let whole = Duration::from_secs(self.dice.u64(least..most));
        self.let_go_by(whole).await;
    }

    /// Requests one env, and leaves what comes of it to happen.
    pub(super) async fn insert(&mut self) -> String {
        let (env, priority) = (self.env(), self.dice.i64(-2..3));
        let now = self.world.clock.now();
        let later = text(after(now, MINUTE * self.dice.u32(1..300)));
        let not_before = match self.dice.u8(0..4) {
            0 => format!("'{later}'"),
            _ => "NULL".to_owned(),
        };
        self.note(format!("request {env} {not_before}"));
        self.write(&format!(
            "INSERT INTO queue (env, priority, not_before, requested_at)
             VALUES ('{env}', {priority}, {not_before}, '{}')",
            text(now)
        ))
        .await;
        self.requested.insert(env.clone());
        env
    }

    async fn request(&mut self) {
        for _ in 0..self.dice.usize(1..6) {
            self.insert().await;
            self.settle_down().await;
        }
    }

    async fn cancel(&mut self) {
        let env = self.env();
        self.note(format!("cancel {env}"));
        self.write(&format!("DELETE FROM queue WHERE env = '{env}'"))
            .await;
        self.settle_down().await;
        if self.dice.bool() && self.requested.contains(&env) {
            self.note(format!("and request {env}"));
            let now = text(self.world.clock.now());
            self.write(&format!(
                "INSERT INTO queue (env, requested_at) VALUES ('{env}', '{now}')"
            ))
            .await;
            self.settle_down().await;
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
        self.settle_down().await;
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

    pub(super) async fn end_trouble(&mut self) {
        if self.trouble_until.take().is_some() {
            self.note("trouble is over");
            self.world.simulator.set_busy(false);
            self.world.simulator.accept().await;
            self.world.simulator.clear_faults();
            self.everyday_faults();
            if self.paused {
                self.set_paused(false).await;
            }
        }
    }

    fn revoke_token(&mut self) {
        self.note("another program fetches a token");
        self.world.simulator.revoke_token();
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
        self.set_paused(true).await;
        self.trouble_for(3 * HOUR);
    }

    /// A daemon that lives obeys within a second of real time.
    async fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        let paused = i32::from(paused);
        self.write(&format!("UPDATE service SET paused = {paused}")).await;
        if self.process.is_some() {
            let obeyed = "SELECT state = 'paused' FROM service";
            self.world.wait_for(obeyed, &[&paused.to_string()]).await;
        }
        self.settle_down().await;
    }

    fn break_an_opening(&mut self) {
        let env = self.env();
        self.note(format!("the next opening of {env} fails"));
        self.world
            .simulator
            .set_opening(&env, Opening::fails_after(2 * MINUTE));
    }

    async fn jump(&mut self) {
        let by = TimeDelta::minutes(self.dice.i64(-300..300));
        self.note(format!("the clock jumps by {by}"));
        self.world.clock.set(self.world.clock.now() + by);
        self.remember_a_jump().await;
        self.settle_down().await;
    }

    pub(super) async fn remember_a_jump(&mut self) {
        self.jumps.push(self.platform.now());
        self.jumped_to = self.world.clock.now();
        let newest = self.column("SELECT coalesce(max(id), 0) FROM attempt").await;
        self.known_at_jump = newest[0].parse().unwrap();
    }
}
