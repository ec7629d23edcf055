//! The one writer: what arrives while a commit is running goes into the next one.
//!
//! A group is one transaction, and a transaction is a few statements however many rows it is about: each statement is a
//! hop to SQLite's thread, each commit an fsync. What passes (another program's lock, a full disk) is tried
//! again until it is written: an outcome is never dropped because the disk was full.

mod group;

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::patience::Patience;
use super::place::Place;
use super::queue::{ClaimOrder, Claimed, Held, Settlement};
use super::service::Vitals;
use super::tickets::PushedTicket;
use crate::clock::{Stopwatch, Timestamp};
use crate::pulse::Beat;
use group::Group;

/// Orders that wait for the writer.
const WAITING: usize = 4096;
/// The most orders in one transaction: it is to stay a matter of milliseconds, for other programs wait for it.
const LARGEST_GROUP: usize = 256;
/// Commits begin no closer together than this, but for the first after a pause.
const SPACING: Duration = Duration::from_millis(5);
/// After each, the database is left alone for this many times as long as it took: other programs' SQLite asks only now and
/// then whether it may write, and would hardly ever find it free on a slow disk.
const LEFT_ALONE: u32 = 1;
/// But no longer than this: what took longer was waiting for somebody else's lock, or for the disk.
const LONGEST_LEFT_ALONE: Duration = Duration::from_millis(50);
/// Something to write.
#[derive(Debug)]
pub(super) enum Order {
    Claim(ClaimOrder, oneshot::Sender<Result<Claimed, StoreError>>),
    Settle(Box<Settlement>, oneshot::Sender<Result<(), StoreError>>),
    Change(Change, oneshot::Sender<Result<u64, StoreError>>),
}

/// A write that is not part of the flow of requests.
#[derive(Debug)]
pub(super) enum Change {
    Vitals(Box<Vitals>),
    Release,
    Hasten { now: Timestamp, latest: Timestamp },
    PushAsked(Timestamp),
    ReceiveTicket(Box<PushedTicket>),
    PruneTickets,
    PruneAttempts(Vec<i64>),
    PruneStatus(Vec<String>),
    Optimize,
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Writer(mpsc::Sender<Order>);

impl Writer {
    /// Writes on `connection`, as long as the file it was opened on is in its `place`; turns by `beat`.
    pub(super) fn start(connection: SqliteConnection, place: Place, beat: Beat, tasks: &TaskTracker) -> Self {
        let (orders, inbox) = mpsc::channel(WAITING);
        let pen = Pen {
            connection,
            place,
            held: Held::default(),
        };
        tasks.spawn(run(pen, inbox, beat));
        Self(orders)
    }

    /// Hands an order over and waits until it is committed.
    pub(super) async fn write<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Order,
    ) -> Result<T, StoreError> {
        let (done, committed) = oneshot::channel();
        self.0.send(order(done)).await.map_err(|_| StoreError::Gone)?;
        committed.await.map_err(|_| StoreError::Gone)?
    }
}

/// What is written with.
struct Pen {
    connection: SqliteConnection,
    place: Place,
    held: Held,
}

async fn run(mut pen: Pen, mut inbox: mpsc::Receiver<Order>, beat: Beat) {
    let mut group = Vec::new();
    let (mut last, mut spacing) = (Stopwatch::start(), Duration::ZERO);
    while beat.during(inbox.recv_many(&mut group, LARGEST_GROUP)).await > 0 {
        gather(&mut inbox, &mut group, spacing.saturating_sub(last.elapsed())).await;
        last = Stopwatch::start();
        pen.write(std::mem::take(&mut group), &beat).await;
        let took = last.elapsed();
        spacing = SPACING.max(took + (took * LEFT_ALONE).min(LONGEST_LEFT_ALONE));
    }
    if let Err(error) = pen.connection.close().await {
        tracing::warn!(%error, "the database was not closed cleanly; nothing is lost by that");
    }
}

/// Gathers a larger group where commits come close together: each one costs an fsync and writes its pages anew.
async fn gather(inbox: &mut mpsc::Receiver<Order>, group: &mut Vec<Order>, wait: Duration) {
    if wait.is_zero() {
        return;
    }
    tokio::time::sleep(wait).await;
    while group.len() < LARGEST_GROUP
        && let Ok(order) = inbox.try_recv()
    {
        group.push(order);
    }
}

impl Pen {
    async fn write(&mut self, orders: Vec<Order>, beat: &Beat) {
        let mut group = Group::from(orders);
        match self.until_written(&mut group, beat).await {
            Ok(()) => group.reply(&mut self.held),
            Err(error) if group.len() == 1 => group.refuse(&mut self.held, error),
            Err(error) => {
                // One of them can't be written. The others must not suffer for it.
                tracing::error!(%error, "a group of writes failed; each is tried alone");
                for order in group.take_apart() {
                    let mut alone = Group::from(vec![order]);
                    match self.until_written(&mut alone, beat).await {
                        Ok(()) => alone.reply(&mut self.held),
                        Err(error) => alone.refuse(&mut self.held, error),
                    }
                }
            }
        }
    }

    /// Tries until it is written or can't be. Somebody's lock or a full disk may last; each try is a turn all the same.
    async fn until_written(&mut self, group: &mut Group, beat: &Beat) -> Result<(), StoreError> {
        let mut patience = Patience::default();
        loop {
            beat.turn();
            match group.write(self).await {
                Err(error) if error.passes() => {
                    if patience.tells() {
                        tracing::warn!(%error, waiting = group.len(), "the database cannot be written; trying again");
                    }
                    patience.rest().await;
                }
                result => {
                    let tries = patience.tries();
                    if tries > 0 && result.is_ok() {
                        tracing::info!(tries, "the database can be written again");
                    }
                    return result;
                }
            }
        }
    }
}
