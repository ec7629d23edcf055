//! A group of orders: one transaction, and what is said of each order when it is over.

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{Change, Order, Pen};
use crate::clock::{Stopwatch, Timestamp, between};
use crate::store::queue::{self, ClaimOrder, Claimed, Held, Settlement};
use crate::store::{StoreError, housekeeping, service, tickets};

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
pub(super) struct Group {
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
    pub(super) fn len(&self) -> usize {
        self.settlements.len() + self.changes.len() + self.claims.len()
    }

    /// One transaction. (Not sqlx's: that counts how deep it is, and where SQLite has rolled back by itself, as it does when
    /// the disk is full, the count is wrong from then on and no transaction can be begun any more.)
    pub(super) async fn write(&mut self, pen: &mut Pen) -> Result<(), StoreError> {
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut pen.connection)
            .await?;
        let watch = Stopwatch::start();
        let written = self.write_and_commit(pen).await;
        pen.locked = watch.elapsed();
        if let Err(error) = written {
            // It fails where there is nothing left to roll back.
            let _ = sqlx::query("ROLLBACK").execute(&mut pen.connection).await;
            self.let_go_of_claims(&mut pen.held);
            return Err(error);
        }
        if self
            .changes
            .iter()
            .any(|(change, _, _)| matches!(change, Change::Optimize))
        {
            // After the transaction: a checkpoint can't run within one. What is committed must not be tried again.
            if let Err(error) = housekeeping::optimize(&mut pen.connection).await {
                tracing::warn!(%error, "the database could not be optimized; the next run tries again");
            }
        }
        Ok(())
    }

    async fn write_and_commit(&mut self, pen: &mut Pen) -> Result<(), StoreError> {
        let Pen {
            connection,
            place,
            held,
            ..
        } = pen;
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
    pub(super) fn reply(self, held: &mut Held) {
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
    pub(super) fn refuse(mut self, held: &mut Held, error: StoreError) {
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

    pub(super) fn take_apart(self) -> Vec<Order> {
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
            Self::Hasten { now, latest } => queue::hasten(connection, *now, *latest).await,
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
