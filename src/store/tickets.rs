//! The `ticket` table: where tickets arrive, by Weixin's push or from the platform's own web application. The newest
//! row counts.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::writer::{Change, Order};
use super::{Store, StoreError};
use crate::clock::{Timestamp, between, parse, text};
use crate::credential::Ticket;

/// How far Weixin's clock may be ahead of ours, or ours behind.
const AHEAD: Duration = Duration::from_secs(300);
/// How long ago a ticket may have been made: Weixin honours one for twelve hours (weixin-api.md 2.4).
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// For how long no ticket has come when one is taken whose CreateTime cannot be right.
const QUIET: Duration = Duration::from_secs(3600);

/// The newest row.
#[derive(Clone, Debug)]
pub struct NewestTicket {
    /// Its id: a higher one is newer.
    pub id: i64,
    /// The ticket.
    pub ticket: Ticket,
    /// When it was inserted.
    pub received_at: Option<Timestamp>,
}

/// A ticket as it was pushed.
#[derive(Clone, Debug)]
pub struct PushedTicket {
    /// The ticket.
    pub ticket: Ticket,
    /// Its CreateTime, by Weixin's clock.
    pub created_at: Timestamp,
    /// When it came, by ours.
    pub received_at: Timestamp,
}

impl PushedTicket {
    /// Whether its CreateTime can be right, as far as we can tell. If it is not, one of the two clocks is wrong.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        let (created_at, received_at) = (self.created_at, self.received_at);
        between(received_at, created_at) <= AHEAD && between(created_at, received_at) <= LIFETIME
    }
}

impl Store {
    /// Keeps a pushed ticket, unless it is not newer than the newest that was pushed; answers whether it was kept.
    ///
    /// The order is that of CreateTime, which a replay cannot change. A CreateTime that cannot be right says nothing
    /// about the order: such a ticket is kept only where none has come for an hour, and the later ones are not measured
    /// by it. So neither a replay of it nor a wrong clock shuts out for long what is good.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn receive_ticket(&self, pushed: PushedTicket) -> Result<bool, StoreError> {
        self.writer
            .write(|done| Order::Change(Change::ReceiveTicket(Box::new(pushed)), done))
            .await
            .map(|rows| rows > 0)
    }

    /// The CreateTime of the newest ticket that was pushed.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn ticket_created_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self
            .readers
            .read(|pool| {
                sqlx::query_scalar!("SELECT ticket_created_at FROM service WHERE id = 1").fetch_one(pool)
            })
            .await?;
        Ok(at.as_deref().and_then(parse))
    }

    /// The newest ticket that can be one; `None` where there is none.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn newest_ticket(&self) -> Result<Option<NewestTicket>, StoreError> {
        let row = self
            .readers
            .read(|pool| {
                sqlx::query!(
            r#"SELECT id AS "id!", component_verify_ticket, received_at FROM ticket ORDER BY id DESC LIMIT 1"#
        ).fetch_optional(pool)
            })
            .await?;
        // What the schema lets through, parse does.
        Ok(row.and_then(|row| {
            let ticket = Ticket::parse(&row.component_verify_ticket).ok()?;
            Some(NewestTicket {
                id: row.id,
                ticket,
                received_at: parse(&row.received_at),
            })
        }))
    }

    /// Deletes all tickets but the newest; returns how many.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn prune_tickets(&self) -> Result<u64, StoreError> {
        self.writer
            .write(|done| Order::Change(Change::PruneTickets, done))
            .await
    }
}

pub(super) async fn receive(
    connection: &mut SqliteConnection,
    pushed: &PushedTicket,
) -> Result<u64, StoreError> {
    let (ticket, received_at, created_at) = (
        pushed.ticket.expose(),
        text(pushed.received_at),
        text(pushed.created_at),
    );
    // What is compared with NULL is not true: nothing is later than it, and nothing is set to it.
    let (dated, quiet_since) = if pushed.is_dated() {
        (Some(created_at.clone()), None)
    } else {
        (None, Some(text(pushed.received_at - QUIET)))
    };
    let written = sqlx::query!(
        r#"INSERT INTO ticket (component_verify_ticket, received_at)
           SELECT ?, ?
             FROM service
            WHERE id = 1 AND coalesce(ticket_created_at, '') < ?
              AND NOT EXISTS (SELECT 1 FROM ticket
                               WHERE id = (SELECT max(id) FROM ticket) AND received_at > ?);

           UPDATE service SET ticket_created_at = ? WHERE id = 1 AND coalesce(ticket_created_at, '') < ?"#,
        ticket,
        received_at,
        created_at,
        quiet_since,
        dated,
        dated
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected())
}

pub(super) async fn prune(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let pruned = sqlx::query!("DELETE FROM ticket WHERE id < (SELECT max(id) FROM ticket)")
        .execute(connection)
        .await?;
    Ok(pruned.rows_affected())
}

#[cfg(test)]
mod tests;
