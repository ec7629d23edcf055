//! How a daemon comes to its end, or to a standstill, at every boundary of a step: before its claim is committed, between claim
//! and call, between the call's effect and its answer, between answer and settlement, and at rest.

use staticstored::simulator::{Endpoint, Fault};

use crate::world::within;

use super::life::{HOUR, Life, MINUTE};

impl Life {
    /// It dies at rest, or once some of what it has to do was done.
    pub(super) async fn crash_some_time(&mut self) {
        self.begin_something().await;
        self.crash().await;
        if self.dice.bool() {
            let minutes = self.dice.u32(1..200);
            self.note(format!("and is dead for {minutes} minutes"));
            self.let_go_by(MINUTE * minutes).await;
        }
    }

    /// It dies with a claim or a settlement that cannot be written, since a feeder holds the lock.
    pub(super) async fn crash_while_it_writes(&mut self) {
        self.begin_something().await;
        self.nothing_goes_on().await;
        let Some(next) = self.next_turn("") else {
            return self.crash().await;
        };
        self.note(format!("a feeder holds the lock; go: {next}"));
        self.write("BEGIN IMMEDIATE").await;
        self.world.clock.let_go(&next);
        self.nothing_goes_on_but_writes().await;
        self.crash().await;
        self.write("ROLLBACK").await;
    }

    /// It dies with a call on its way, which took effect or did not.
    pub(super) async fn crash_in_mid_call(&mut self) {
        let held = self.hold_a_call().await;
        self.note(format!("{held} calls are under way"));
        self.crash().await;
        self.let_go_of_calls().await;
    }

    /// The machine is suspended with a create that is decided on and not sent: by the wall clock, its lease is over, and
    /// whoever looked now would find nothing.
    pub(super) async fn suspend_before_a_create(&mut self) {
        self.end_trouble().await;
        self.insert().await;
        let is_create = |who: &String| who.starts_with("create ");
        let create = loop {
            self.nothing_goes_on().await;
            let waiting = self.world.clock.waiting();
            match waiting.into_iter().find(is_create) {
                Some(create) => break create,
                None if self.one_turn().await => {}
                None => return,
            }
        };
        // Longer than a lease, and not so long that the token of the create is dead.
        let minutes = self.dice.u32(15..60);
        self.note(format!("suspended for {minutes} minutes before: {create}"));
        self.move_clocks(MINUTE * minutes);
        self.remember_a_jump().await;
        while self.a_turn_of_another_than(&create).await {}
        self.settle_down().await;
        self.remember_a_jump().await;
    }

    /// The machine is suspended with a call on its way: by the wall clock, all leases are over.
    pub(super) async fn suspend(&mut self) {
        let held = self.hold_a_call().await;
        let hours = self.dice.u32(1..10);
        self.note(format!("suspended for {hours} hours with {held} calls under way"));
        self.move_clocks(HOUR * hours);
        self.remember_a_jump().await;
        self.nothing_goes_on().await;
        // What would be called now, had the leases ended, is called before the answer comes.
        self.settle_down().await;
        self.let_go_of_calls().await;
        self.settle_down().await;
        self.remember_a_jump().await;
    }

    /// It is told to stop, at rest or in the midst of something, and finishes that.
    pub(super) async fn restart(&mut self) {
        self.begin_something().await;
        self.note("restart");
        let process = self.process.as_ref().expect("a daemon to stop");
        process.tell_to_stop();
        while !process.has_ended() {
            // It goes to sleep once more after its end, so that this is not missed.
            if !self.one_turn().await && !process.has_ended() {
                within(process.sleeps()).await;
            }
        }
        let process = self.process.take().expect("one that has stopped");
        process.last_words().await.unwrap();
    }

    /// Requests something, and lets a few turns pass.
    async fn begin_something(&mut self) {
        for _ in 0..self.dice.usize(0..3) {
            self.insert().await;
            self.nothing_goes_on().await;
        }
        for _ in 0..self.dice.usize(0..6) {
            self.one_turn().await;
        }
        self.nothing_goes_on().await;
    }

    /// Requests something, and goes on until a call is on its way or nothing is left to do; returns how many are.
    async fn hold_a_call(&mut self) -> usize {
        self.end_trouble().await;
        let effect = self.dice.bool();
        self.note(format!("the next call has effect: {effect}, and no answer yet"));
        self.world.simulator.clear_faults();
        for endpoint in [Endpoint::Create, Endpoint::Describe] {
            let fault = Fault::on(endpoint).once();
            let fault = if effect { fault.held() } else { fault.cut().held() };
            // Before those of every day.
            self.world.simulator.fault(fault);
        }
        self.everyday_faults();
        self.insert().await;
        while self.world.simulator.held() == 0 && self.one_turn().await {
            self.nothing_goes_on().await;
        }
        // No more than one: the answers of two would come in any order.
        self.world.simulator.clear_faults();
        self.everyday_faults();
        self.world.simulator.held()
    }

    /// Their answers come, or their connections are cut.
    async fn let_go_of_calls(&mut self) {
        self.world.simulator.clear_faults();
        self.world.simulator.release();
        self.world.see(|simulator| simulator.held() == 0).await;
        self.everyday_faults();
    }

    async fn crash(&mut self) {
        self.note("crash");
        self.crashes += 1;
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}
