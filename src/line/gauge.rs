//! The line's arithmetic: how many calls may be in flight now. Pure but for being changed in place.

use std::collections::HashMap;
use std::time::Duration;

use super::Verdict;
use crate::clock::{Timestamp, after, between};
use crate::outcome::Backoff;
use crate::request::Call;

/// Busy answers in a row, with no other between them, before the line shrinks: a few are nobody's trend.
const BUSY_BEFORE_SHRINKING: u32 = 3;
/// Between the probes of a busy line.
const BUSY_REST: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// Between the probes of a faulty line.
const FAULT_REST: Backoff = Backoff {
    initial: Duration::from_secs(5),
    max: Duration::from_secs(300),
};

/// For how long a call that worked shows that a fault which one environment meets is its own.
const EVIDENCE_LASTS: Duration = Duration::from_secs(3600);
/// The most environments that are remembered for a fault that they met; beyond it the memory starts anew.
const MOST_SUSPECTS: usize = 10_000;

/// A fault of the whole line, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Weixin's code, where one came.
    pub errcode: Option<i64>,
    /// What Weixin said, or what happened.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// How the line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Open,
    /// It has shrunk to a probe: Weixin is busy or out of reach. What the last one met, in words.
    Busy(String),
    /// It stands still but for a probe now and then.
    Blocked(Fault),
    /// Somebody wants it so.
    Paused,
}

/// The answer to "may I call now?".
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Granted {
        permits: usize,
        epoch: u64,
    },
    None,
    /// Not before then, unless something changes.
    Until(Timestamp),
}

#[derive(Debug)]
pub(super) struct Gauge {
    most: usize,
    window: usize,
    pub(super) in_flight: usize,
    /// Counts the times that the line shrank. A call that was begun before the last time says nothing new.
    epoch: u64,
    busy_in_a_row: u32,
    /// What the last busy answer was, in words.
    met: String,
    /// Probes in a row that met the same: makes their intervals grow.
    rests: u32,
    pub(super) rest_until: Option<Timestamp>,
    fault: Option<Fault>,
    /// The call that met the last fault: until that one works again, the intervals go on growing.
    faulty_call: Option<Call>,
    /// The calls of each kind that worked.
    worked: [u64; 2],
    /// The time at which the last of each kind worked.
    worked_at: [Option<Timestamp>; 2],
    /// The environments that met a fault of the whole line, each with the number of calls of that kind that had worked when it
    /// first did.
    suspects: HashMap<String, u64>,
    pub(super) paused: bool,
    pub(super) waiting: [bool; 2],
    last_granted: Option<Call>,
}

impl Gauge {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            window: most,
            in_flight: 0,
            epoch: 0,
            busy_in_a_row: 0,
            met: String::new(),
            rests: 0,
            rest_until: None,
            fault: None,
            faulty_call: None,
            worked: [0; 2],
            worked_at: [None; 2],
            suspects: HashMap::new(),
            paused: false,
            waiting: [false; 2],
            last_granted: None,
        }
    }

    /// Changes the most that may be in flight. A line that had its full width has the new one; one that has shrunk grows
    /// back to it by success.
    pub(super) fn set_most(&mut self, most: usize) {
        let is_whole = self.rest_until.is_none() && self.window == self.most;
        self.most = most.max(1);
        self.window = if is_whole {
            self.most
        } else {
            self.window.min(self.most)
        };
    }

    /// Lets the next probe go at once: something has been changed, and may have been what was in the way.
    pub(super) fn end_rest(&mut self, now: Timestamp) {
        self.rest_until = self.rest_until.map(|at| at.min(now));
    }

    pub(super) fn condition(&self) -> Condition {
        match &self.fault {
            _ if self.paused => Condition::Paused,
            Some(fault) => Condition::Blocked(fault.clone()),
            None if self.rest_until.is_some() => Condition::Busy(self.met.clone()),
            None => Condition::Open,
        }
    }

    /// Whether it works, in its full width.
    pub(super) fn flows(&self) -> bool {
        !self.paused && self.rest_until.is_none() && self.fault.is_none() && self.window == self.most
    }

    /// What may change by a report, and with it the condition or the room.
    pub(super) fn shape(&self) -> (u64, usize, Option<Timestamp>) {
        (self.epoch, self.window, self.rest_until)
    }

    pub(super) fn take(&mut self, call: Call, most: usize, now: Timestamp) -> Room {
        if self.paused {
            return Room::None;
        }
        // While it rests, its width is one: a probe at a time.
        if let Some(rest_until) = self.rest_until.filter(|until| *until > now) {
            return Room::Until(rest_until);
        }
        let free = self.window.saturating_sub(self.in_flight);
        let permits = self.share(call, free).min(most);
        if permits == 0 {
            return Room::None;
        }
        self.in_flight += permits;
        self.last_granted = Some(call);
        Room::Granted {
            permits,
            epoch: self.epoch,
        }
    }

    /// What of the free room is for this lane: all of it, or half where the other lane waits too; the last place in turns.
    fn share(&self, call: Call, free: usize) -> usize {
        let other = match call {
            Call::Create => Call::Describe,
            Call::Describe => Call::Create,
        };
        match free {
            _ if !self.waiting[other as usize] => free,
            1 => usize::from(self.last_granted != Some(call)),
            _ => free.div_ceil(2),
        }
    }

    /// Takes in what the call about `env` showed of the line. Returns whether `env` alone meets a fault: it met one before, since
    /// then the same call worked for others, and the line works. Such a fault is not the line's.
    pub(super) fn report(
        &mut self,
        (call, env): (Call, &str),
        epoch: u64,
        verdict: &Verdict,
        now: Timestamp,
        draw: f64,
    ) -> bool {
        match verdict {
            Verdict::Works => {
                self.worked[call as usize] += 1;
                self.worked_at[call as usize] = Some(now);
                self.suspects.remove(env);
                self.works(call, epoch);
            }
            Verdict::Busy(met) => {
                self.met.clone_from(met);
                self.busy(epoch, now, draw);
            }
            Verdict::Faulty(_) if self.is_alone(call, env, now) => return true,
            Verdict::Faulty(fault) => {
                self.suspect(call, env);
                self.faulty(call, epoch, fault, now, draw);
            }
        }
        false
    }

    /// Returns whether `env` alone met a fault, as [`Gauge::report`] says.
    pub(super) fn is_alone(&self, call: Call, env: &str, now: Timestamp) -> bool {
        let passed_since = |first: &u64| *first < self.worked[call as usize];
        let is_recent = |at| between(at, now) < EVIDENCE_LASTS;
        self.fault.is_none()
            && self.suspects.get(env).is_some_and(passed_since)
            && self.worked_at[call as usize].is_some_and(is_recent)
    }

    /// Remembers that `env` met a fault.
    fn suspect(&mut self, call: Call, env: &str) {
        if self.suspects.len() >= MOST_SUSPECTS {
            self.suspects.clear();
        }
        let worked = self.worked[call as usize];
        self.suspects.entry(env.to_owned()).or_insert(worked);
    }

    fn works(&mut self, call: Call, epoch: u64) {
        self.busy_in_a_row = 0;
        if epoch != self.epoch {
            return;
        }
        if self.faulty_call.is_none_or(|faulty| faulty == call) {
            self.rests = 0;
            self.faulty_call = None;
        }
        self.fault = None;
        self.rest_until = None;
        self.window = self.window.saturating_mul(2).min(self.most);
    }

    fn busy(&mut self, epoch: u64, now: Timestamp, draw: f64) {
        self.busy_in_a_row = self.busy_in_a_row.saturating_add(1);
        if epoch != self.epoch {
            return;
        }
        if self.rest_until.is_some() || (self.window == 1 && self.busy_in_a_row >= BUSY_BEFORE_SHRINKING) {
            let rest = if self.fault.is_some() {
                FAULT_REST
            } else {
                BUSY_REST
            };
            self.rest(rest, now, draw);
        } else if self.busy_in_a_row >= BUSY_BEFORE_SHRINKING {
            self.window /= 2;
            self.epoch += 1;
        }
    }

    fn faulty(&mut self, call: Call, epoch: u64, fault: &Fault, now: Timestamp, draw: f64) {
        self.busy_in_a_row = 0;
        if epoch != self.epoch {
            return;
        }
        let is_first = self.rests == 0 && self.faulty_call.is_none();
        self.fault = Some(fault.clone());
        self.faulty_call = Some(call);
        if is_first {
            // It may be the fault of one environment: another one shows that at once.
            self.shrink_to_a_probe(now);
        } else {
            self.rest(FAULT_REST, now, draw);
        }
    }

    /// One probe from now on, and that not before half to the whole of a bound that doubles.
    fn rest(&mut self, backoff: Backoff, now: Timestamp, draw: f64) {
        self.rests = self.rests.saturating_add(1);
        self.shrink_to_a_probe(after(now, backoff.bound(self.rests).mul_f64(0.5 + draw / 2.0)));
    }

    fn shrink_to_a_probe(&mut self, at: Timestamp) {
        self.window = 1;
        self.epoch += 1;
        self.rest_until = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn busy() -> Verdict {
        Verdict::Busy("-1".to_owned())
    }

    fn fault() -> Verdict {
        Verdict::Faulty(Fault {
            errcode: Some(61004),
            reason: "ip".into(),
            remedy: "add it".into(),
        })
    }

    /// Takes one permit at `now` and reports at once; whether there was room.
    fn call(gauge: &mut Gauge, call: Call, verdict: &Verdict, now: Timestamp) -> bool {
        let Room::Granted { epoch, .. } = gauge.take(call, 1, now) else {
            return false;
        };
        gauge.in_flight -= 1;
        gauge.report((call, "env"), epoch, verdict, now, 1.0);
        true
    }

    fn granted(room: &Room) -> usize {
        if let Room::Granted { permits, .. } = room {
            *permits
        } else {
            0
        }
    }

    #[test]
    fn a_working_line_grants_up_to_its_limit_and_no_more() {
        let mut gauge = Gauge::new(16);
        assert_eq!(granted(&gauge.take(Call::Create, 10, NOW)), 10);
        assert_eq!(granted(&gauge.take(Call::Create, 10, NOW)), 6);
        assert_eq!(gauge.take(Call::Create, 10, NOW), Room::None);
    }

    #[test]
    fn a_few_busy_answers_among_good_ones_change_nothing() {
        let mut gauge = Gauge::new(16);
        for _ in 0..50 {
            assert!(call(&mut gauge, Call::Create, &busy(), NOW));
            assert!(call(&mut gauge, Call::Create, &busy(), NOW));
            assert!(call(&mut gauge, Call::Create, &Verdict::Works, NOW));
        }
        assert_eq!((gauge.window, gauge.condition()), (16, Condition::Open));
    }

    #[test]
    fn in_an_outage_the_line_shrinks_to_one_probe_at_growing_intervals_and_grows_back() {
        let mut gauge = Gauge::new(16);
        let mut calls = 0;
        while call(&mut gauge, Call::Create, &busy(), NOW) {
            calls += 1;
            assert!(calls < 20, "hammers");
        }
        assert_eq!(gauge.condition(), Condition::Busy("-1".to_owned()));
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let Room::Until(at) = gauge.take(Call::Create, 16, now) else {
                panic!("no rest")
            };
            waits.push((at - now).num_seconds());
            now = at;
            assert!(call(&mut gauge, Call::Create, &busy(), now));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        now = after(now, BUSY_REST.max);
        for room in [1, 2, 4, 8, 16, 16] {
            let mut full = Vec::new();
            while let Room::Granted { epoch, .. } = gauge.take(Call::Create, 1, now) {
                full.push(epoch);
            }
            assert_eq!(full.len(), room);
            gauge.in_flight = 0;
            gauge.report((Call::Create, "env"), full[0], &Verdict::Works, now, 1.0);
        }
        assert_eq!(gauge.condition(), Condition::Open);
    }

    #[test]
    fn calls_begun_before_the_line_shrank_do_not_shrink_it_again() {
        let mut gauge = Gauge::new(16);
        let Room::Granted { epoch, permits } = gauge.take(Call::Create, 16, NOW) else {
            panic!("no room")
        };
        for _ in 0..permits {
            gauge.in_flight -= 1;
            gauge.report((Call::Create, "env"), epoch, &busy(), NOW, 1.0);
        }
        assert_eq!(gauge.window, 8);
    }

    #[test]
    fn of_calls_that_meet_a_fault_together_only_the_first_makes_the_line_rest() {
        let mut gauge = Gauge::new(2);
        let Room::Granted { epoch, .. } = gauge.take(Call::Create, 2, NOW) else {
            panic!("no room")
        };
        gauge.in_flight = 0;
        for _ in 0..2 {
            gauge.report((Call::Create, "env"), epoch, &fault(), NOW, 1.0);
        }
        assert!(
            call(&mut gauge, Call::Create, &fault(), NOW),
            "another one shows whether it is the line's"
        );
        let first = after(NOW, FAULT_REST.initial);
        assert_eq!(gauge.take(Call::Create, 1, NOW), Room::Until(first));
    }

    #[test]
    fn a_fault_blocks_the_line_but_for_probes_until_a_call_works() {
        let mut gauge = Gauge::new(16);
        assert!(call(&mut gauge, Call::Create, &fault(), NOW));
        assert!(matches!(gauge.condition(), Condition::Blocked(fault) if fault.errcode == Some(61004)));
        assert!(call(&mut gauge, Call::Create, &fault(), NOW));
        let Room::Until(at) = gauge.take(Call::Create, 16, NOW) else {
            panic!("no rest")
        };
        assert!(call(&mut gauge, Call::Create, &fault(), at));
        let Room::Until(later) = gauge.take(Call::Create, 16, at) else {
            panic!("no rest")
        };
        assert!(later - at > at - NOW);
        assert!(call(&mut gauge, Call::Create, &Verdict::Works, later));
        assert_eq!(gauge.condition(), Condition::Open);
    }

    #[test]
    fn a_fault_of_one_call_only_rests_longer_each_time_although_the_other_works() {
        let mut gauge = Gauge::new(16);
        let mut now = NOW;
        let mut waits = Vec::new();
        assert!(call(&mut gauge, Call::Create, &fault(), now));
        assert!(
            call(&mut gauge, Call::Describe, &Verdict::Works, now),
            "a probe, at once"
        );
        for _ in 0..4 {
            assert!(call(&mut gauge, Call::Create, &fault(), now));
            let Room::Until(at) = gauge.take(Call::Describe, 1, now) else {
                panic!("no rest")
            };
            waits.push((at - now).num_seconds());
            now = at;
            assert!(call(&mut gauge, Call::Describe, &Verdict::Works, now));
        }
        assert_eq!(waits, [5, 10, 20, 40]);
    }

    #[test]
    fn an_environment_that_meets_a_fault_again_while_others_pass_is_alone_and_blocks_nobody() {
        let mut gauge = Gauge::new(16);
        let mut report = |env, verdict: &Verdict, now| {
            gauge.end_rest(now);
            let Room::Granted { epoch, .. } = gauge.take(Call::Create, 1, now) else {
                panic!("no room")
            };
            gauge.in_flight -= 1;
            let alone = gauge.report((Call::Create, env), epoch, verdict, now, 1.0);
            (alone, matches!(gauge.condition(), Condition::Blocked(_)))
        };
        let hour = EVIDENCE_LASTS.as_secs();
        for (seconds, env, verdict, expected) in [
            (0, "bad", fault(), (false, true)),
            (0, "worse", fault(), (false, true)),
            // Nobody has passed since.
            (0, "bad", fault(), (false, true)),
            (0, "good", Verdict::Works, (false, false)),
            (0, "bad", fault(), (true, false)),
            (0, "worse", fault(), (true, false)),
            (hour - 1, "bad", fault(), (true, false)),
            // That somebody passed was too long ago; and then the line is blocked.
            (hour, "bad", fault(), (false, true)),
            (hour, "worse", fault(), (false, true)),
            (hour, "good", Verdict::Works, (false, false)),
            (hour, "bad", fault(), (true, false)),
            // One that passed itself is no suspect any more.
            (hour, "bad", Verdict::Works, (false, false)),
            (hour, "bad", fault(), (false, true)),
        ] {
            let now = after(NOW, Duration::from_secs(seconds));
            assert_eq!(report(env, &verdict, now), expected, "{env} {verdict:?}");
        }
    }

    #[test]
    fn two_waiting_lanes_share_the_room_and_take_the_last_place_in_turns() {
        let mut gauge = Gauge::new(4);
        gauge.waiting = [true, true];
        assert_eq!(granted(&gauge.take(Call::Create, 9, NOW)), 2);
        assert_eq!(granted(&gauge.take(Call::Describe, 9, NOW)), 1);
        assert_eq!(granted(&gauge.take(Call::Describe, 9, NOW)), 0);
        assert_eq!(granted(&gauge.take(Call::Create, 9, NOW)), 1);
    }

    #[test]
    fn another_width_holds_at_once_for_a_line_that_works_and_only_by_success_for_one_that_has_shrunk() {
        let mut gauge = Gauge::new(4);
        assert_eq!(granted(&gauge.take(Call::Create, 9, NOW)), 4);
        gauge.set_most(2);
        gauge.in_flight -= 2;
        assert_eq!(
            gauge.take(Call::Create, 9, NOW),
            Room::None,
            "two are still there"
        );
        gauge.set_most(6);
        assert_eq!(granted(&gauge.take(Call::Create, 9, NOW)), 4);
        assert!(gauge.flows());

        for width in [1, 4] {
            let mut gauge = Gauge::new(width);
            assert!(call(&mut gauge, Call::Create, &fault(), NOW));
            assert!(call(&mut gauge, Call::Create, &fault(), NOW));
            gauge.set_most(9);
            let Room::Until(at) = gauge.take(Call::Create, 9, NOW) else {
                panic!("no rest")
            };
            assert_eq!(
                granted(&gauge.take(Call::Create, 9, at)),
                1,
                "a probe, from {width}"
            );
        }
    }

    #[test]
    fn a_rest_that_is_ended_lets_one_probe_go_and_the_intervals_grow_on() {
        let mut gauge = Gauge::new(16);
        assert!(call(&mut gauge, Call::Create, &fault(), NOW));
        assert!(call(&mut gauge, Call::Create, &fault(), NOW));
        gauge.end_rest(NOW);
        assert!(matches!(gauge.condition(), Condition::Blocked(_)));
        assert_eq!(granted(&gauge.take(Call::Create, 16, NOW)), 1);
        assert_eq!(gauge.take(Call::Create, 16, NOW), Room::None);
        let epoch = gauge.epoch;
        gauge.in_flight = 0;
        gauge.report((Call::Create, "env"), epoch, &fault(), NOW, 1.0);
        let Room::Until(at) = gauge.take(Call::Create, 16, NOW) else {
            panic!("no rest")
        };
        assert_eq!((at - NOW).num_seconds(), 10);
    }

    #[test]
    fn a_paused_line_grants_nothing_until_it_is_resumed() {
        let mut gauge = Gauge::new(4);
        gauge.paused = true;
        assert_eq!(
            (gauge.take(Call::Create, 1, NOW), gauge.condition()),
            (Room::None, Condition::Paused)
        );
        gauge.paused = false;
        assert_eq!(granted(&gauge.take(Call::Create, 1, NOW)), 1);
    }
}
