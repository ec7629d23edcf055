//! A step: one claimed request, from its call to its settlement.

use std::sync::Arc;

use tracing::Instrument;

use super::{Provisioner, Rules};
use crate::clock::{Timestamp, after};
use crate::credential::Token;
use crate::line::{Fault, Permit, Verdict};
use crate::outcome::{Final, LINE_REST, Meaning, Next, Outcome, TOKEN_REMEDY, Word, chance};
use crate::request::{Call, Request};
use crate::store::{Attempt, Settlement};
use crate::token::{Rejected, Rejector};
use crate::weixin::Reply;

/// The most calls of one step: the first, and one more with a new token.
pub(super) const MOST_CALLS: usize = 2;
/// The remedy for an environment that alone refuses each token.
const TOKEN_ALONE_REMEDY: &str = "Weixin refuses every token for this environment, and takes the same token for others: see in \
     the Weixin console that the environment belongs to a merchant of this platform, then run `staticstored retry` for it.";

/// The calls of a step, and what Weixin said last; the default for none.
#[derive(Default)]
struct Called {
    attempts: Vec<Attempt>,
    errcode: Option<i64>,
    errmsg: String,
    rid: Option<String>,
}

impl Provisioner {
    /// Makes the call, decides, settles.
    pub(super) async fn step(self, request: Request, permit: Permit, rules: &Rules) {
        // Its lane saw one a moment ago.
        let Some(token) = self.parts.tokens.current() else {
            return self.hand_back(request).await;
        };
        let span = tracing::info_span!("request", env = %request.env, call = request.call.as_str());
        self.step_in_span(request, permit, token, rules)
            .instrument(span)
            .await;
    }

    /// Lets a claimed request go whose call was not made: it costs it nothing.
    pub(super) async fn hand_back(&self, request: Request) {
        let outcome = Outcome::unsent(&request);
        self.settle(request, Called::default(), outcome, self.parts.clock.now())
            .await;
    }

    async fn step_in_span(&self, request: Request, permit: Permit, token: Arc<Token>, rules: &Rules) {
        let (meaning, called) = self.call(&request, token, rules).await;
        let verdict = match meaning {
            Meaning::Token => Some(Verdict::Faulty(self.refused_token(&called))),
            _ => Verdict::of(&meaning, called.errcode, &called.errmsg),
        };
        let alone = verdict.is_some_and(|verdict| permit.report(request.env.as_str(), &verdict));
        let meaning = match meaning {
            Meaning::Line(remedy) if alone => Meaning::Alone(remedy),
            Meaning::Token if alone => Meaning::Alone(TOKEN_ALONE_REMEDY),
            meaning => meaning,
        };
        // The next call may go out while this one is being written down.
        drop(permit);
        let now = self.parts.clock.now();
        let outcome = rules.policy.decide(&request, &meaning, now, draw(&request, now));
        let outcome = match (&meaning, self.parts.line.rest_until()) {
            // Another request probes next: a fault that only this one meets must not hold up all the others for ever.
            (Meaning::Line(_) | Meaning::Token, Some(probe)) => outcome.put_off(after(probe, LINE_REST)),
            _ => outcome,
        };
        self.settle(request, called, outcome, now).await;
    }

    /// Makes the call, once more with another token where Weixin refuses the one it had.
    async fn call(&self, request: &Request, mut token: Arc<Token>, rules: &Rules) -> (Meaning, Called) {
        let mut attempts = Vec::with_capacity(1);
        loop {
            let (at, reply) = self.call_once(request, &token, rules).await;
            let meaning = reply.meaning();
            let (errcode, errmsg) = (reply.errcode(), reply.errmsg());
            attempts.push(attempt(request.call, at, &reply, errmsg.clone()));
            if meaning.takes_token() {
                self.parts.tokens.works(&token, at);
            }
            let may_go_on = attempts.len() < MOST_CALLS;
            if meaning == Meaning::Token
                && let Some(other) = self.other_token(request, &token, may_go_on).await
            {
                token = other;
                continue;
            }
            let called = Called {
                attempts,
                errcode,
                errmsg,
                rid: reply.rid(),
            };
            return (meaning, called);
        }
    }

    /// Rejects the token that Weixin refused for `request`. Returns another one, where `wanted` and where there will be one.
    async fn other_token(&self, request: &Request, refused: &Token, wanted: bool) -> Option<Arc<Token>> {
        let tokens = &self.parts.tokens;
        let is_alone = self.parts.line.is_alone(request.call, request.env.as_str());
        if is_alone && tokens.passed(refused) {
            // Others pass with the same token: another one would help nobody.
            return None;
        }
        match tokens.reject(refused, &Rejector::Environment(request.env.to_string())) {
            _ if !wanted => None,
            Rejected::Use(other) => Some(other),
            Rejected::Refreshing => tokens.replacement(refused).await,
            Rejected::Cooldown(_) => None,
        }
    }

    /// A refused token, as a fault of everybody who calls with it.
    fn refused_token(&self, called: &Called) -> Fault {
        let rejection = self.parts.tokens.state().borrow().rejection.clone();
        let rejection = rejection.map(|rejection| format!("; {rejection}"));
        Fault {
            errcode: called.errcode,
            reason: format!("{}{}", called.errmsg, rejection.unwrap_or_default()),
            remedy: TOKEN_REMEDY.to_owned(),
        }
    }

    async fn call_once(&self, request: &Request, token: &Token, rules: &Rules) -> (Timestamp, Reply) {
        let clock = &self.parts.clock;
        let _turn = clock.turn(request.call.as_str(), request.env.as_str()).await;
        let at = clock.now();
        let reply = match request.call {
            Call::Create => rules.weixin.create(&request.env, token).await,
            Call::Describe => rules.weixin.describe(&request.env, token).await,
        };
        (at, reply)
    }

    async fn settle(&self, request: Request, mut called: Called, outcome: Outcome, now: Timestamp) {
        if let Some(last) = called.attempts.last_mut() {
            last.outcome = outcome.word.as_str();
        }
        log(&outcome, &called);
        let next = match &outcome.next {
            Next::Again { call, at, .. } => Some((*call, *at)),
            Next::Finish(_) => None,
        };
        let settlement = Settlement {
            id: request.id,
            claim: request.claim,
            rid: called.rid,
            env: request.env,
            outcome,
            attempts: called.attempts,
            claimed_for: request.call,
            now,
        };
        if let Err(error) = self.parts.store.settle(settlement).await {
            // Its lease ends, and it is looked at again.
            tracing::error!(%error, "the outcome could not be written down; the request is looked at again");
        }
        match next {
            // Both lanes wait for the time when the next row is due.
            Some((_, Some(_))) => Call::ALL.into_iter().for_each(|call| self.nudge(call)),
            Some((call, None)) => self.nudge(call),
            None => {}
        }
    }
}

/// The chance of a request's wait: rows that failed together do not come back together.
fn draw(request: &Request, now: Timestamp) -> f64 {
    let progress = &request.progress;
    chance((request.env.as_str(), progress.failures, progress.unknowns), now)
}

fn attempt(call: Call, at: Timestamp, reply: &Reply, errmsg: String) -> Attempt {
    Attempt {
        at,
        call,
        errcode: reply.errcode(),
        errmsg,
        http_status: reply.http_status,
        latency_ms: u64::try_from(reply.latency.as_millis()).unwrap_or(u64::MAX),
        outcome: Word::Token.as_str(),
    }
}

/// One line for a request that is finished, a warning where somebody must help; the rest is for whoever follows closely.
fn log(outcome: &Outcome, called: &Called) {
    let (errcode, errmsg) = (called.errcode, called.errmsg.as_str());
    match &outcome.next {
        Next::Finish(Final::Online) => tracing::info!("online"),
        Next::Finish(Final::Accepted) => tracing::info!("accepted"),
        Next::Finish(Final::Failed) => {
            tracing::warn!(
                weixin.errcode = errcode,
                errmsg,
                remedy = outcome.remedy,
                "failed"
            );
        }
        Next::Again { at, .. } => {
            tracing::debug!(
                outcome = outcome.word.as_str(),
                weixin.errcode = errcode,
                errmsg,
                next_attempt_at = at.map(crate::clock::text),
                "settled"
            );
        }
    }
}
