//! The tokens and tickets given out, and for how long each is good.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{Timestamp, after};

use super::answer::Refusal;

/// Characters behind a token's number; Weixin's tokens are about as long.
const TOKEN_LENGTH: usize = 140;

#[derive(Debug)]
struct Token {
    text: String,
    expires_at: Timestamp,
    /// When it stops being honoured because there is a newer one.
    superseded_at: Option<Timestamp>,
}

/// All tokens ever made; only the latest, and for a while the one before, are good.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    made: Vec<Token>,
    generations: HashMap<String, usize>,
}

impl Tokens {
    /// Makes a token; the one before lives on for `overlap`.
    pub(super) fn issue(&mut self, times: Times, random: &mut fastrand::Rng) -> &str {
        if let Some(old) = self.made.last_mut() {
            old.superseded_at = Some(after(times.now, times.overlap));
        }
        let generation = self.made.len();
        let tail: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(TOKEN_LENGTH)
            .collect();
        let text = format!("{}_{tail}", generation + 1);
        self.generations.insert(text.clone(), generation);
        let expires_at = after(times.now, times.lifetime);
        self.made.push(Token {
            text,
            expires_at,
            superseded_at: None,
        });
        &self.made[generation].text
    }

    /// Which token this is: 1 for the first ever made.
    pub(super) fn generation(&self, text: &str) -> Option<u64> {
        self.generations.get(text).map(|&index| index as u64 + 1)
    }

    /// Checks the token of a call.
    pub(super) fn check(&self, text: Option<&str>, now: Timestamp) -> Result<(), Refusal> {
        let text = text
            .filter(|text| !text.is_empty())
            .ok_or(Refusal::TOKEN_MISSING)?;
        let token = &self.made[*self.generations.get(text).ok_or(Refusal::TOKEN_INVALID)?];
        if token.superseded_at.is_some_and(|at| at <= now) {
            return Err(Refusal::TOKEN_NOT_LATEST);
        }
        if token.expires_at <= now {
            Err(Refusal::TOKEN_EXPIRED)
        } else {
            Ok(())
        }
    }

    /// The latest token.
    pub(super) fn current(&self) -> Option<&str> {
        self.made.last().map(|token| token.text.as_str())
    }

    /// Every token's text, the oldest first.
    pub(super) fn all(&self) -> Vec<String> {
        self.made.iter().map(|token| token.text.clone()).collect()
    }
}

/// When a token is made, and for how long it and the one before are good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) now: Timestamp,
    pub(super) lifetime: Duration,
    pub(super) overlap: Duration,
}

/// The tickets pushed; each is good until its own end.
#[derive(Debug)]
pub(super) struct Tickets {
    latest: String,
    ends: HashMap<String, Timestamp>,
}

impl Tickets {
    /// Starts with one ticket.
    pub(super) fn new(first: String, expires_at: Timestamp) -> Self {
        Self {
            ends: HashMap::from([(first.clone(), expires_at)]),
            latest: first,
        }
    }

    /// Makes the next ticket.
    pub(super) fn issue(&mut self, expires_at: Timestamp, random: &mut fastrand::Rng) -> &str {
        self.latest = format!("ticket@@@simulated-{:016x}", random.u64(..));
        self.ends.insert(self.latest.clone(), expires_at);
        &self.latest
    }

    /// The latest ticket.
    pub(super) fn latest(&self) -> &str {
        &self.latest
    }

    /// Every ticket.
    pub(super) fn all(&self) -> Vec<String> {
        self.ends.keys().cloned().collect()
    }

    /// Ends the life of all.
    pub(super) fn expire(&mut self) {
        self.ends.values_mut().for_each(|end| *end = Timestamp::MIN_UTC);
    }

    /// Checks the ticket of an exchange.
    pub(super) fn check(&self, ticket: &str, now: Timestamp) -> Result<(), Refusal> {
        match self.ends.get(ticket) {
            None => Err(Refusal::TICKET_INVALID),
            Some(end) if *end <= now => Err(Refusal::TICKET_EXPIRED),
            Some(_) => Ok(()),
        }
    }
}
