//! The `ticket` table: where the platform's own web application leaves Weixin's push. The newest row counts.

use sqlx::SqliteConnection;

use super::writer::{Change, Order};
use super::{Store, StoreError};
use crate::clock::{Timestamp, parse};
use crate::credential::Ticket;

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

impl Store {
    /// The newest ticket that can be one; `None` where there is none.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn newest_ticket(&self) -> Result<Option<NewestTicket>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT id AS "id!", component_verify_ticket, received_at FROM ticket ORDER BY id DESC LIMIT 1"#
        )
        .fetch_optional(&self.readers)
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

pub(super) async fn prune(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let pruned = sqlx::query!("DELETE FROM ticket WHERE id < (SELECT max(id) FROM ticket)")
        .execute(connection)
        .await?;
    Ok(pruned.rows_affected())
}
