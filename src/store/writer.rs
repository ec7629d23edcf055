//! The one writer: what arrives while a commit is running goes into the next one.
//!
//! A group is one transaction, and a transaction is a few statements however many rows it is about: each statement is a
//! hop to SQLite's thread, each commit an fsync. What passes (another program's lock, a full disk) is tried
//! again until it is written: an outcome is never dropped because the disk was full.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::place::Place;
use super::queue::{self, ClaimOrder, Claimed, Held, Settlement};
use super::service::{self, Vitals};
use super::tickets::PushedTicket;
use super::{StoreError, housekeeping, tickets};
use crate::clock::{Stopwatch, Timestamp, between};

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
/// Between two tries when the database can't be written for now.
const RETRY: Duration = Duration::from_millis(200);
/// How many tries pass between two lines in the log.
const TRIES_PER_WARNING: u32 = 50;

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
    /// Writes on `connection`, as long as the file it was opened on is in its `place`.
    pub(super) fn start(connection: SqliteConnection, place: Place, tasks: &TaskTracker) -> Self {
        let (orders, inbox) = mpsc::channel(WAITING);
        tasks.spawn(run(connection, place, inbox));
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

async fn run(mut connection: SqliteConnection, place: Place, mut inbox: mpsc::Receiver<Order>) {
    let mut group = Vec::new();
    let mut held = Held::default();
    let (mut last, mut spacing) = (Stopwatch::start(), Duration::ZERO);
    while inbox.recv_many(&mut group, LARGEST_GROUP).await > 0 {
        gather(&mut inbox, &mut group, spacing.saturating_sub(last.elapsed())).await;
        last = Stopwatch::start();
        write_group(&mut connection, &place, &mut held, std::mem::take(&mut group)).await;
        let took = last.elapsed();
        spacing = SPACING.max(took + (took * LEFT_ALONE).min(LONGEST_LEFT_ALONE));
    }
    if let Err(error) = connection.close().await {
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

async fn write_group(connection: &mut SqliteConnection, place: &Place, held: &mut Held, group: Vec<Order>) {
    let mut group = Group::from(group);
    match until_written(connection, place, held, &mut group).await {
        Ok(()) => group.reply(held),
        Err(error) if group.len() == 1 => group.refuse(held, error),
        Err(error) => {
            // One of them can't be written. The others must not suffer for it.
            tracing::error!(%error, "a group of writes failed; each is tried alone");
            for order in group.take_apart() {
                let mut alone = Group::from(vec![order]);
                match until_written(connection, place, held, &mut alone).await {
                    Ok(()) => alone.reply(held),
                    Err(error) => alone.refuse(held, error),
                }
            }
        }
    }
}

async fn until_written(
    connection: &mut SqliteConnection,
    place: &Place,
    held: &mut Held,
    group: &mut Group,
) -> Result<(), StoreError> {
    let mut tries = 0_u32;
    loop {
        match group.write(connection, place, held).await {
            Err(error) if error.passes() => {
                if tries.is_multiple_of(TRIES_PER_WARNING) {
                    tracing::warn!(%error, waiting = group.len(), "the database cannot be written; trying again");
                }
                tries += 1;
                // Real time: it is the disk that is waited for.
                tokio::time::sleep(RETRY).await;
            }
            result => {
                if tries > 0 && result.is_ok() {
                    tracing::info!(tries, "the database can be written again");
                }
                return result;
            }
        }
    }
}

/// A change, whom to tell, and how many rows it changed.
type Changed = (Change, oneshot::Sender<Result<u64, StoreError>>, u64);
/// A claim, whom to tell, and what it got.
type Claim = (
    ClaimOrder,
    oneshot::Sender<Result<Claimed, StoreError>>,
    Option<Claimed>,
);

/// Orders that share a transaction, by kind: settlements first, so that claims see what they leave ready.
#[derive(Default)]
struct Group {
    settlements: Vec<Settlement>,
    settled: Vec<oneshot::Sender<Result<(), StoreError>>>,
    changes: Vec<Changed>,
    claims: Vec<Claim>,
}

impl From<Vec<Order>> for Group {
    fn from(orders: Vec<Order>) -> Self {
        let mut group = Self::default();
        for order in orders {
            match order {
                Order::Settle(settlement, done) => {
                    group.settlements.push(*settlement);
                    group.settled.push(done);
                }
                Order::Change(change, done) => group.changes.push((change, done, 0)),
                Order::Claim(order, done) => group.claims.push((order, done, None)),
            }
        }
        group
    }
}

impl Group {
    fn len(&self) -> usize {
        self.settlements.len() + self.changes.len() + self.claims.len()
    }

    /// One transaction. (Not sqlx's: that counts how deep it is, and where SQLite has rolled back by itself, as it does when
    /// the disk is full, the count is wrong from then on and no transaction can be begun any more.)
    async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        place: &Place,
        held: &mut Held,
    ) -> Result<(), StoreError> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        if let Err(error) = self.write_and_commit(connection, place, held).await {
            // It fails where there is nothing left to roll back.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
            self.let_go_of_claims(held);
            return Err(error);
        }
        if self
            .changes
            .iter()
            .any(|(change, _, _)| matches!(change, Change::Optimize))
        {
            // After the transaction: a checkpoint can't run within one. What is committed must not be tried again.
            if let Err(error) = housekeeping::optimize(connection).await {
                tracing::warn!(%error, "the database could not be optimized; the next run tries again");
            }
        }
        Ok(())
    }

    async fn write_and_commit(
        &mut self,
        connection: &mut SqliteConnection,
        place: &Place,
        held: &mut Held,
    ) -> Result<(), StoreError> {
        if !self.settlements.is_empty() {
            queue::settle(connection, &self.settlements).await?;
        }
        let newest = self.newest_ticket();
        for (change, _, rows) in &mut self.changes {
            // Of tickets that come together only the newest counts.
            let superseded = change.ticket_created_at().is_some_and(|at| Some(at) < newest);
            *rows = if superseded {
                0
            } else {
                change.write(connection).await?
            };
        }
        for (order, _, claimed) in &mut self.claims {
            let got = queue::claim(connection, order, held).await?;
            // At once: the next claim of this group may come from after a jump of the clock.
            let lease = between(order.now, order.lease_until);
            for request in &got.requests {
                held.take(request.env.as_str(), request.claim, lease);
            }
            *claimed = Some(got);
        }
        // As late as can be: what is claimed in a file that nobody else sees would be called.
        place.check()?;
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(())
    }

    fn newest_ticket(&self) -> Option<Timestamp> {
        let of_changes = self.changes.iter().map(|(change, _, _)| change);
        of_changes.filter_map(Change::ticket_created_at).max()
    }

    /// What was claimed is rolled back.
    fn let_go_of_claims(&mut self, held: &mut Held) {
        for (order, _, claimed) in &mut self.claims {
            for request in claimed.take().iter().flat_map(|claimed| &claimed.requests) {
                held.let_go(request.env.as_str(), order.claim);
            }
        }
    }

    /// Tells what is committed, and lets go of what was settled.
    fn reply(self, held: &mut Held) {
        for settlement in &self.settlements {
            held.let_go(settlement.env.as_str(), settlement.claim);
        }
        // Whoever asked may be gone; the write stands all the same.
        for done in self.settled {
            let _ = done.send(Ok(()));
        }
        for (_, done, rows) in self.changes {
            let _ = done.send(Ok(rows));
        }
        for (_, done, claimed) in self.claims {
            let _ = done.send(Ok(claimed.unwrap_or_default()));
        }
    }

    /// Tells the only one in the group why it was not written.
    fn refuse(mut self, held: &mut Held, error: StoreError) {
        if let Some(settlement) = self.settlements.pop() {
            held.let_go(settlement.env.as_str(), settlement.claim);
        }
        if let Some(done) = self.settled.pop() {
            let _ = done.send(Err(error));
        } else if let Some((_, done, _)) = self.changes.pop() {
            let _ = done.send(Err(error));
        } else if let Some((_, done, _)) = self.claims.pop() {
            let _ = done.send(Err(error));
        }
    }

    fn take_apart(self) -> Vec<Order> {
        let settle = |(settlement, done)| Order::Settle(Box::new(settlement), done);
        let mut orders: Vec<Order> = self
            .settlements
            .into_iter()
            .zip(self.settled)
            .map(settle)
            .collect();
        orders.extend(
            self.changes
                .into_iter()
                .map(|(change, done, _)| Order::Change(change, done)),
        );
        orders.extend(
            self.claims
                .into_iter()
                .map(|(order, done, _)| Order::Claim(order, done)),
        );
        orders
    }
}

impl Change {
    /// Where it is a pushed ticket whose CreateTime can be right: that.
    fn ticket_created_at(&self) -> Option<Timestamp> {
        match self {
            Self::ReceiveTicket(pushed) if pushed.is_dated() => Some(pushed.created_at),
            _ => None,
        }
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        match self {
            Self::Vitals(vitals) => service::write(connection, vitals).await,
            Self::Release => queue::release(connection).await,
            Self::PushAsked(at) => service::push_asked(connection, *at).await,
            Self::ReceiveTicket(pushed) => tickets::receive(connection, pushed).await,
            Self::PruneTickets => tickets::prune(connection).await,
            Self::PruneAttempts(ids) => housekeeping::prune_attempts(connection, ids).await,
            Self::PruneStatus(envs) => housekeeping::prune_status(connection, envs).await,
            // Done after the group's commit.
            Self::Optimize => Ok(0),
        }
    }
}
