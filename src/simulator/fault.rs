//! What a fault is: which calls go wrong, how, and how often.
//!
//! A builder, because most faults need two or three of a dozen words, and a test should read like a sentence.

use std::time::Duration;

use super::Endpoint;
use super::answer::Refusal;

/// Something that goes wrong with some calls: on every call, until it is cleared, unless told otherwise.
///
/// A fault that replaces the answer (an errcode, a cut, an HTTP status, a body that is none) keeps the call from taking
/// effect, unless [`Fault::after_effect`] is set. One that only disturbs it (a delay, a slow body, null
/// fields, a wrong env) lets it take effect.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) endpoint: Option<Endpoint>,
    pub(super) env: Option<String>,
    pub(super) left: Option<u32>,
    pub(super) probability: f64,
    pub(super) delay: Duration,
    pub(super) held: bool,
    after_effect: bool,
    pub(super) kind: Kind,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    None,
    Errcode(i64, String),
    Busy(Duration),
    TokenLost,
    Cut,
    CutInBody,
    Html(u16),
    Redirect(String),
    NoJson,
    Oversize,
    Endless,
    Slow(Duration),
    NullFields,
    WrongEnv,
}

/// Which calls.
impl Fault {
    /// On one endpoint.
    #[must_use]
    pub fn on(endpoint: Endpoint) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..Self::anywhere()
        }
    }

    /// On every endpoint.
    #[must_use]
    pub fn anywhere() -> Self {
        Self {
            endpoint: None,
            env: None,
            left: None,
            probability: 1.0,
            delay: Duration::ZERO,
            held: false,
            after_effect: false,
            kind: Kind::None,
        }
    }

    /// Only calls about this env.
    #[must_use]
    pub fn env(self, env: impl Into<String>) -> Self {
        Self {
            env: Some(env.into()),
            ..self
        }
    }

    /// Only the next `count` calls that fit.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            left: Some(count),
            ..self
        }
    }

    /// Only the next call that fits.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Only a share of the calls that fit, from 0 to 1; the seed decides which.
    #[must_use]
    pub fn probability(self, share: f64) -> Self {
        Self {
            probability: share,
            ..self
        }
    }
}

/// When.
impl Fault {
    /// The call takes effect, and then its answer goes wrong.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self {
            after_effect: true,
            ..self
        }
    }

    /// The answer, right or wrong, comes late, by real time; an effect is there at once.
    #[must_use]
    pub fn delay(self, wait: Duration) -> Self {
        Self { delay: wait, ..self }
    }

    /// The answer, right or wrong, comes when [`super::Simulator::release`] is called; an effect is there at once.
    #[must_use]
    pub fn held(self) -> Self {
        Self { held: true, ..self }
    }
}

/// What goes wrong; the last one said counts.
impl Fault {
    /// An errcode with an errmsg (a rid is put behind it).
    #[must_use]
    pub fn errcode(self, errcode: i64, errmsg: &str) -> Self {
        self.kind(Kind::Errcode(errcode, errmsg.to_owned()))
    }

    /// -1 for this call, and for every call of anybody's until `lasts` is over.
    #[must_use]
    pub fn busy(self, lasts: Duration) -> Self {
        self.kind(Kind::Busy(lasts))
    }

    /// Another program has just made a new token: the old one is dead at once, and the call goes on with that.
    #[must_use]
    pub fn token_lost(self) -> Self {
        self.kind(Kind::TokenLost)
    }

    /// The connection is cut without an answer.
    #[must_use]
    pub fn cut(self) -> Self {
        self.kind(Kind::Cut)
    }

    /// The connection is cut in mid-body.
    #[must_use]
    pub fn cut_in_body(self) -> Self {
        self.kind(Kind::CutInBody)
    }

    /// An HTTP status with a page of HTML.
    #[must_use]
    pub fn http(self, status: u16) -> Self {
        self.kind(Kind::Html(status))
    }

    /// A 302 to another address.
    #[must_use]
    pub fn redirect(self, location: &str) -> Self {
        self.kind(Kind::Redirect(location.to_owned()))
    }

    /// A 200 with a body that is no JSON.
    #[must_use]
    pub fn no_json(self) -> Self {
        self.kind(Kind::NoJson)
    }

    /// A body of valid JSON of more than 64 KiB, with its length announced.
    #[must_use]
    pub fn oversize(self) -> Self {
        self.kind(Kind::Oversize)
    }

    /// A body that does not end.
    #[must_use]
    pub fn endless(self) -> Self {
        self.kind(Kind::Endless)
    }

    /// The right body, byte by byte, `pause` apart by real time.
    #[must_use]
    pub fn slow(self, pause: Duration) -> Self {
        self.kind(Kind::Slow(pause))
    }

    /// The right answer, with null in every field but errcode and errmsg.
    #[must_use]
    pub fn null_fields(self) -> Self {
        self.kind(Kind::NullFields)
    }

    /// describe's answer, about an env that was not asked for.
    #[must_use]
    pub fn wrong_env(self) -> Self {
        self.kind(Kind::WrongEnv)
    }

    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

impl Fault {
    /// One of Weixin's own refusals.
    pub(super) fn refuse(Refusal(errcode, errmsg): Refusal) -> Self {
        Self::anywhere().errcode(errcode, errmsg)
    }

    /// Whether the call takes effect.
    pub(super) fn takes_effect(&self) -> bool {
        let disturbs = matches!(
            self.kind,
            Kind::None | Kind::TokenLost | Kind::Slow(_) | Kind::NullFields | Kind::WrongEnv
        );
        disturbs || self.after_effect
    }
}
