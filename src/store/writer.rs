//! The one writer: what arrives while a commit is running goes into the next one.
//!
//! A group is one transaction, and a transaction is a few statements however many rows it is about: each statement is a
//! hop to SQLite's thread, each commit an fsync. The writer has a thread of its own: among the runtime's tasks it would stand in
//! line behind hundreds of calls after each hop, with the lock held. What passes (another program's lock, a full disk) is tried
//! again until it is written: an outcome is never dropped because the disk was full.

mod group;
mod rest;

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::patience::Patience;
use super::place::Place;
use super::queue::{ClaimOrder, Claimed, Held, Settlement};
use super::service::Vitals;
use super::tickets::PushedTicket;
use crate::clock::{Stopwatch, Timestamp};
use crate::pulse::{Beat, Pulse, Work};
use group::Group;
use rest::Rest;

/// Orders that wait for the writer.
const WAITING: usize = 4096;
/// The most orders in one transaction: it is to stay a matter of milliseconds, for other programs wait for it.
const LARGEST_GROUP: usize = 256;
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
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    pulse: Pulse,
}

impl Writer {
    /// Writes on `connection`, as long as the file it was opened on is in its `place`; turns by a beat of `pulse`.
    pub(super) fn start(
        connection: SqliteConnection,
        place: Place,
        pulse: &Pulse,
        tasks: &TaskTracker,
    ) -> Self {
        let (orders, inbox) = mpsc::channel(WAITING);
        let pen = Pen {
            connection,
            place,
            held: Held::default(),
            locked: Duration::ZERO,
        };
        tasks.spawn(on_its_thread(run(pen, inbox, pulse.beat("writer"))));
        Self {
            orders,
            pulse: pulse.clone(),
        }
    }

    /// Hands an order over and waits until it is committed.
    pub(super) async fn write<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Order,
    ) -> Result<T, StoreError> {
        let _at_work = self.pulse.at_work(Work::Write);
        let (done, committed) = oneshot::channel();
        self.orders
            .send(order(done))
            .await
            .map_err(|_| StoreError::Gone)?;
        committed.await.map_err(|_| StoreError::Gone)?
    }
}

/// What is written with.
struct Pen {
    connection: SqliteConnection,
    place: Place,
    held: Held,
    /// For how long the last transaction kept others from writing.
    locked: Duration,
}

/// Runs the writer on a thread of its own, which ends with the runtime as a task would.
async fn on_its_thread(writer: impl Future<Output = ()> + Send + 'static) {
    let (end, runtime) = (CancellationToken::new(), Handle::current());
    let _with_this_task = end.clone().drop_guard();
    let thread = tokio::task::spawn_blocking(move || runtime.block_on(end.run_until_cancelled_owned(writer)));
    if let Err(error) = thread.await {
        tracing::error!(%error, "the writer has ended");
    }
}

async fn run(mut pen: Pen, mut inbox: mpsc::Receiver<Order>, beat: Beat) {
    let mut group = Vec::new();
    let mut rest = Rest::default();
    let (mut last, mut alone) = (Stopwatch::start(), Duration::ZERO);
    while beat.during(inbox.recv_many(&mut group, LARGEST_GROUP)).await > 0 {
        // Also for orders whose givers are gone.
        let _at_work = beat.at_work(Work::Write);
        gather(&mut inbox, &mut group, alone.saturating_sub(last.elapsed())).await;
        let orders = group.len();
        pen.write(std::mem::take(&mut group), &beat).await;
        last = Stopwatch::start();
        alone = rest.after(orders, pen.locked, &mut pen.connection).await;
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

#[cfg(test)]
mod tests;
