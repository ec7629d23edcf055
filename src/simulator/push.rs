//! What Weixin sends of its own accord: a ticket every ten minutes, and events, sealed, to a URL of the platform's.
//!
//! It shares nothing with the receiver, not even the cipher: a mistake about the format would otherwise be made on both sides
//! and seen on neither.

mod event;
mod post;
mod schedule;
mod seal;

pub use event::Event;
pub use post::{Answer, BadTarget, Target, Undelivered};
pub use seal::{Letter, NoKey, Postmark, Seal};

pub(super) use schedule::{Schedule, deliver, run, seal};

use crate::clock::Timestamp;

/// The callback token of a simulated platform, where nobody names another.
pub const CALLBACK_TOKEN: &str = "simulatedtoken";
/// Its EncodingAESKey, with the surplus bits that Weixin's keys have.
pub const ENCODING_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// A push that was made, and what came of it.
#[derive(Clone, Debug)]
pub struct Push {
    /// When it was begun, by the platform's clock.
    pub at: Timestamp,
    /// The event's InfoType; empty for a letter that was sealed elsewhere.
    pub info_type: String,
    /// The answer, or in words why there is none.
    pub answer: Result<Answer, String>,
}

impl Push {
    /// Whether it was answered as Weixin wants it.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.answer.as_ref().is_ok_and(Answer::is_success)
    }
}

impl Seal {
    /// Seals an event at a moment, with a nonce and a random of its own.
    #[must_use]
    pub fn letter(&self, event: &Event, now: Timestamp) -> Letter {
        let mut random = [0; seal::RANDOM];
        random.fill_with(|| fastrand::alphanumeric() as u8);
        let mark = Postmark {
            timestamp: now.timestamp(),
            nonce: &fastrand::u32(..).to_string(),
            random,
        };
        self.seal(&event.message(self.appid()), mark)
    }
}
