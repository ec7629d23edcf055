//! How the platform behaves when nothing goes wrong: its settings, and the spellings that Weixin's documents leave
//! open.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::clock::Clock;

use super::Opening;
use super::push::Target;

/// The platform's settings. Each can be changed while it runs, but for those read at the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; default: a free port on 127.0.0.1. Read at the start.
    pub listen: SocketAddr,
    /// The time; default: the system's. Read at the start.
    pub clock: Clock,
    /// What decides whether a fault with a probability hits; default 0. Read at the start.
    pub seed: u64,
    /// The first ticket. Read at the start.
    pub ticket: String,
    /// The platform's `component_appid`.
    pub appid: String,
    /// The platform's `component_appsecret`.
    pub appsecret: String,
    /// How long a new ticket is good; default 12 hours.
    pub ticket_lifetime: Duration,
    /// Whether api_start_push_ticket makes a new ticket, and pushes it where there is somebody to push to; default yes.
    pub start_push_makes_ticket: bool,
    /// Who tickets are pushed to; default: nobody.
    pub push_to: Option<Target>,
    /// How often a ticket is pushed; the first time that long after there is somebody to push to; default 10 minutes.
    pub push_interval: Duration,
    /// How long after api_start_push_ticket a ticket is pushed; default 1 second.
    pub push_delay: Duration,
    /// How often one push is tried until it is answered `success`; default 3.
    pub push_tries: u32,
    /// How long an answer to a push is waited for, in real time; default 5 seconds.
    pub push_patience: Duration,
    /// Whether after a push without `success` no more come until api_start_push_ticket; default yes.
    pub push_stops: bool,
    /// How long a new token is good; default 2 hours.
    pub token_lifetime: Duration,
    /// How long a token outlives the making of the next; default 5 minutes.
    pub token_overlap: Duration,
    /// What a create leads to; default: online after two seconds.
    pub opening: Opening,
    /// The answer to a create for a store that is there already, which no document tells; default 0.
    pub create_again_errcode: i64,
    /// api_component_token calls a day (by China's time), then 45009; default 10 000.
    pub exchanges_per_day: u64,
    /// Creates a day (by China's time), then 45009; default: no limit.
    pub creates_per_day: u64,
    /// Creates a second, then 45011; default: no limit.
    pub creates_per_second: u64,
    /// Describes a second, then 45011; default: no limit.
    pub describes_per_second: u64,
    /// How describe names its list.
    pub list_field: ListField,
    /// How describe names the region.
    pub region_field: RegionField,
    /// How describe says that there is no record.
    pub absent_list: AbsentList,
    /// Whether a connection is kept for the next call; default yes.
    pub keep_alive: bool,
    /// The `Content-Type` of JSON; default `text/plain`, as Weixin often has it.
    pub content_type: &'static str,
    /// Whether an env whose name ends in `--` and the name of a [`super::scenario::Kind`] is given that kind's
    /// faults and store when it is first seen; default no.
    pub faults_by_suffix: bool,
    /// Whether each call is kept, or only counted; default: kept.
    pub detailed_ledger: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Clock::system(),
            seed: 0,
            ticket: "ticket@@@simulated-0000".to_owned(),
            appid: "wx0000000000000001".to_owned(),
            appsecret: "0123456789abcdef0123456789abcdef".to_owned(),
            ticket_lifetime: Duration::from_secs(12 * 60 * 60),
            start_push_makes_ticket: true,
            push_to: None,
            push_interval: Duration::from_secs(10 * 60),
            push_delay: Duration::from_secs(1),
            push_tries: 3,
            push_patience: Duration::from_secs(5),
            push_stops: true,
            token_lifetime: Duration::from_secs(2 * 60 * 60),
            token_overlap: Duration::from_secs(5 * 60),
            opening: Opening::online_after(Duration::from_secs(2)),
            create_again_errcode: 0,
            exchanges_per_day: 10_000,
            creates_per_day: u64::MAX,
            creates_per_second: u64::MAX,
            describes_per_second: u64::MAX,
            list_field: ListField::Alternating,
            region_field: RegionField::Alternating,
            absent_list: AbsentList::Alternating,
            keep_alive: true,
            content_type: "text/plain",
            faults_by_suffix: false,
            detailed_ledger: true,
        }
    }
}

/// How describe names its list: Weixin's examples and its table differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListField {
    /// `Data`, as in the examples.
    Upper,
    /// `data`, as in the table.
    Lower,
    /// Now one, now the other.
    Alternating,
}

/// How describe names the region: Weixin's documents have `regoin`, Tencent Cloud's have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionField {
    /// `regoin`, as documented.
    Regoin,
    /// `region`.
    Region,
    /// Now one, now the other.
    Alternating,
}

/// How describe says that there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentList {
    /// The list is null.
    Null,
    /// The list is empty.
    Empty,
    /// There is no list.
    Missing,
    /// Each in turn.
    Alternating,
}

impl ListField {
    /// The name in the `nth` answer.
    pub(super) fn name(self, nth: u64) -> &'static str {
        match self {
            Self::Upper => "Data",
            Self::Lower => "data",
            Self::Alternating => ["Data", "data"][(nth % 2) as usize],
        }
    }
}

impl RegionField {
    /// The name in the `nth` answer; it alternates at half the pace of the list's, so that all four pairs come.
    pub(super) fn name(self, nth: u64) -> &'static str {
        match self {
            Self::Regoin => "regoin",
            Self::Region => "region",
            Self::Alternating => ["regoin", "region"][(nth / 2 % 2) as usize],
        }
    }
}

impl AbsentList {
    /// The form in the `nth` answer: never [`AbsentList::Alternating`].
    pub(super) fn form(self, nth: u64) -> Self {
        match self {
            Self::Alternating => [Self::Null, Self::Empty, Self::Missing][(nth % 3) as usize],
            fixed => fixed,
        }
    }
}
