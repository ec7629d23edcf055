//! A Weixin platform on loopback, for `simulate`, `demo` and the tests.
//!
//! Written from the facts about Weixin alone and sharing nothing with the client but the clock, so that a mistake about
//! the wire cannot be made on both sides at once. It listens on a real socket because the failures that matter
//! (a connection cut after the call took effect) cannot be had without one.
//!
//! Time has two kinds here: what the platform remembers (tokens, tickets, openings, quotas) goes by
//! [`Options::clock`]; what the wire does (delays, slow bodies) goes by real time, as a client's timeouts do.

mod answer;
mod body;
mod endpoint;
mod fault;
mod faults;
mod ledger;
mod options;
mod platform;
pub mod push;
mod quota;
pub mod scenario;
mod server;
mod stores;
mod tokens;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use endpoint::Endpoint;
pub use fault::Fault;
pub use ledger::Entry;
pub use options::{AbsentList, ListField, Options, RegionField};
pub use stores::Opening;

use crate::clock::Timestamp;

use platform::Platform;
use push::{Answer, Event, Letter, Push, Undelivered};
use server::Server;
use stores::Course;

/// A running platform, and the handle to control and to question it; clones control the same one.
///
/// It stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Simulator {
    platform: Arc<Platform>,
    server: Arc<Server>,
}

/// The server.
impl Simulator {
    /// Listens on [`Options::listen`] and answers from then on, on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listen = options.listen;
        let platform = Arc::new(Platform::new(options));
        let server = Arc::new(Server::start(listen, Arc::clone(&platform)).await?);
        Ok(Self { platform, server })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Refuses connections, and cuts those that exist, until [`Simulator::accept`]. Returns once it is so.
    pub async fn refuse(&self) {
        self.server.set_accepting(false).await;
    }

    /// Accepts connections again, on the same port. Returns once it is so.
    pub async fn accept(&self) {
        self.server.set_accepting(true).await;
    }

    /// Cuts all connections and returns when nothing of the server runs any more.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

/// What goes wrong.
impl Simulator {
    /// Adds a fault. Of several that fit a call, those for its env come before those for any, older before newer.
    pub fn fault(&self, fault: Fault) {
        self.platform.lock().faults.add(fault);
    }

    /// Gives an env the faults and the store of a kind.
    pub fn arrange(&self, env: &str, kind: &scenario::Kind) {
        let mut state = self.platform.lock();
        let now = state.now();
        state.arrange(env, kind, now);
    }

    /// Removes all faults; calls that are held stay held.
    pub fn clear_faults(&self) {
        self.platform.lock().faults.clear();
    }

    /// Lets go of all calls held by [`Fault::held`].
    pub fn release(&self) {
        self.platform.waiting.release();
    }

    /// Answers every call with -1, without effect, or ends that.
    pub fn set_busy(&self, busy: bool) {
        self.platform.lock().busy = busy;
    }

    /// Changes the options of the running platform, but for those read at the start.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        self.platform.lock().change(change);
        self.platform.rescheduled.notify_one();
    }
}

/// Tokens and tickets.
impl Simulator {
    /// Makes a new token that nobody here is told, as when another program fetched one: the old one lives on for
    /// [`Options::token_overlap`] only.
    pub fn revoke_token(&self) {
        let mut state = self.platform.lock();
        let (overlap, now) = (state.options.token_overlap, state.now());
        state.issue_token(overlap, now);
    }

    /// The latest token.
    #[must_use]
    pub fn current_token(&self) -> Option<String> {
        self.platform.lock().tokens.current().map(str::to_owned)
    }

    /// All tokens ever made, the oldest first (to search logs and files for).
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.platform.lock().tokens.all()
    }

    /// The latest ticket.
    #[must_use]
    pub fn ticket(&self) -> String {
        self.platform.lock().tickets.latest().to_owned()
    }

    /// All tickets ever made, in no order (to search logs for).
    #[must_use]
    pub fn tickets(&self) -> Vec<String> {
        self.platform.lock().tickets.all()
    }

    /// Makes a new ticket, valid for [`Options::ticket_lifetime`]; older ones live on to their own end.
    pub fn new_ticket(&self) -> String {
        let mut state = self.platform.lock();
        let now = state.now();
        state.issue_ticket(now)
    }

    /// Ends the life of all tickets made so far: they answer 61005.
    pub fn expire_tickets(&self) {
        self.platform.lock().tickets.expire();
    }
}

/// Pushes, to [`Options::push_to`]. Those that a test makes are tried once, and change nothing about those that come by
/// themselves.
impl Simulator {
    /// Makes a new ticket and pushes it.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn push_ticket(&self) -> Result<Answer, Undelivered> {
        let ticket = self.new_ticket();
        self.push(&Event::ticket(&ticket, self.now())).await
    }

    /// Pushes an event of another InfoType.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn push_event(&self, info_type: &str) -> Result<Answer, Undelivered> {
        self.push(&Event::other(info_type, self.now())).await
    }

    /// Pushes an event, such as an older ticket.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn push(&self, event: &Event) -> Result<Answer, Undelivered> {
        let letter = push::seal(&self.platform, event, self.now()).ok_or(Undelivered::NoTarget)?;
        push::deliver(&self.platform, event.info_type(), &letter).await
    }

    /// Sends a letter, which may have been sent before or be sealed by other means than the target's.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, letter: &Letter) -> Result<Answer, Undelivered> {
        push::deliver(&self.platform, "", letter).await
    }

    /// Every push so far, the oldest first.
    #[must_use]
    pub fn pushes(&self) -> Vec<Push> {
        self.platform.lock().schedule.made.clone()
    }

    /// How many there were.
    #[must_use]
    pub fn pushed(&self) -> usize {
        self.platform.lock().schedule.made.len()
    }

    /// Whether a push is to come by itself.
    #[must_use]
    pub fn goes_on_pushing(&self) -> bool {
        self.platform.lock().schedule.goes_on()
    }

    fn now(&self) -> Timestamp {
        self.platform.lock().now()
    }
}

/// Stores.
impl Simulator {
    /// Sets how the next create for an env goes on, in place of [`Options::opening`].
    pub fn set_opening(&self, env: &str, opening: Opening) {
        self.platform.lock().stores.set_opening(env, opening);
    }

    /// Puts a store into a status, whether Weixin knows it or not; `None` is a record whose status is null.
    pub fn set_store<'a>(&self, env: &str, status: impl Into<Option<&'a str>>) {
        self.set_course(env, &[(Duration::ZERO, status.into())]);
    }

    /// Lets a store be `destroying` until `wait` has gone by, then `offline`.
    pub fn destroy_store(&self, env: &str, wait: Duration) {
        self.set_course(
            env,
            &[(Duration::ZERO, Some("destroying")), (wait, Some("offline"))],
        );
    }

    /// Forgets a store: describe finds no record.
    pub fn remove_store(&self, env: &str) {
        self.set_course(env, &[]);
    }

    /// A store's status now: `None` without a record, `null` for one whose status is null.
    #[must_use]
    pub fn store(&self, env: &str) -> Option<String> {
        let state = self.platform.lock();
        let record = state.stores.describe(env, state.now())?;
        Some(record.status.unwrap_or("null").to_owned())
    }

    fn set_course(&self, env: &str, course: &Course<'_>) {
        let mut state = self.platform.lock();
        let now = state.now();
        state.stores.set_course(env, course, now);
    }

    /// How many creates for an env reached the platform's state machine and were accepted, answered or not.
    #[must_use]
    pub fn effective_creates(&self, env: &str) -> u64 {
        self.platform.lock().stores.effective_creates(env)
    }

    /// How many creates reached an env whose store was there already (a record that is not `offline`), over all envs.
    #[must_use]
    pub fn needless_creates(&self) -> u64 {
        self.platform.lock().stores.needless_creates()
    }
}

/// What was called.
impl Simulator {
    /// Every call so far, in the order in which they took effect; empty without [`Options::detailed_ledger`].
    #[must_use]
    pub fn ledger(&self) -> Vec<Entry> {
        self.platform.lock().ledger.entries().to_vec()
    }

    /// How many calls an endpoint had.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.platform.lock().ledger.calls(endpoint)
    }

    /// How many calls of an endpoint were about one env.
    #[must_use]
    pub fn calls_for(&self, endpoint: Endpoint, env: &str) -> u64 {
        self.platform.lock().stores.calls(endpoint, env)
    }

    /// How many tokens api_component_token has given out, whether or not the answer arrived.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.platform.lock().ledger.exchanges()
    }

    /// How many requests are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.platform.waiting.in_flight()
    }

    /// The most requests that were ever in flight at once, since the start or [`Simulator::clear_ledger`].
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.platform.waiting.max_in_flight()
    }

    /// How many calls are held by [`Fault::held`] now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.platform.waiting.held()
    }

    /// Forgets the calls so far, so that counts start at zero; tokens, stores and their own counts stay.
    pub fn clear_ledger(&self) {
        self.platform.lock().ledger.clear();
        self.platform.waiting.clear_max();
    }

    /// Returns once an endpoint had `count` calls or more.
    pub async fn wait_for_calls(&self, endpoint: Endpoint, count: u64) {
        self.wait_until(|simulator| simulator.calls(endpoint) >= count)
            .await;
    }

    /// Returns once `count` calls or more are held by [`Fault::held`].
    pub async fn wait_for_held(&self, count: usize) {
        self.wait_until(|simulator| simulator.held() >= count).await;
    }

    /// Returns once the condition holds. It is looked at when a call was counted and when one came to its end.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        self.platform.waiting.until(|| condition(self)).await;
    }
}
