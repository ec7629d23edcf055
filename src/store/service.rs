//! The one row of `service`: the daemon itself, for whoever looks.

use sqlx::SqliteConnection;

use super::writer::{Change, Order};
use super::{Store, StoreError};
use crate::clock::{Timestamp, parse, text};

/// Who the daemon is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its version.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// Since when.
    pub started_at: Timestamp,
}

/// How the daemon is.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Who it is.
    pub identity: Identity,
    /// `running`, `waiting_for_ticket`, `blocked`, `paused` or `stopped`.
    pub state: &'static str,
    /// Why it is not running, in words.
    pub reason: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Weixin's code for it.
    pub errcode: Option<i64>,
    /// When the token stops to be honoured.
    pub token_expires_at: Option<Timestamp>,
    /// When it was fetched.
    pub token_refreshed_at: Option<Timestamp>,
    /// Now.
    pub heartbeat_at: Timestamp,
}

pub(super) async fn write(connection: &mut SqliteConnection, vitals: &Vitals) -> Result<u64, StoreError> {
    let (started_at, heartbeat_at) = (text(vitals.identity.started_at), text(vitals.heartbeat_at));
    let (expires_at, refreshed_at) = (
        vitals.token_expires_at.map(text),
        vitals.token_refreshed_at.map(text),
    );
    let written = sqlx::query!(
        r#"UPDATE service
              SET state = ?1, reason = ?2, remedy = ?3, errcode = ?4, version = ?5, pid = ?6, host = ?7, started_at = ?8,
                  heartbeat_at = ?9, token_expires_at = ?10, token_refreshed_at = ?11,
                  ticket_received_at = coalesce((SELECT received_at FROM ticket ORDER BY id DESC LIMIT 1),
                                                ticket_received_at)
            WHERE id = 1"#,
        vitals.state,
        vitals.reason,
        vitals.remedy,
        vitals.errcode,
        vitals.identity.version,
        vitals.identity.pid,
        vitals.identity.host,
        started_at,
        heartbeat_at,
        expires_at,
        refreshed_at
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected())
}

pub(super) async fn push_asked(connection: &mut SqliteConnection, at: Timestamp) -> Result<u64, StoreError> {
    let at = text(at);
    let written = sqlx::query!("UPDATE service SET push_asked_at = ?1 WHERE id = 1", at)
        .execute(connection)
        .await?;
    Ok(written.rows_affected())
}

impl Store {
    /// Writes down how the daemon is.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn set_vitals(&self, vitals: Vitals) -> Result<(), StoreError> {
        self.writer
            .write(|done| Order::Change(Change::Vitals(Box::new(vitals)), done))
            .await
            .map(|_| ())
    }

    /// The last sign of life, also of an earlier process.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn last_heartbeat(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self
            .readers
            .read(|pool| sqlx::query_scalar!("SELECT heartbeat_at FROM service WHERE id = 1").fetch_one(pool))
            .await?;
        Ok(at.as_deref().and_then(parse))
    }

    /// Whether somebody has set `service.paused`.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn paused(&self) -> Result<bool, StoreError> {
        let paused = self
            .readers
            .read(|pool| sqlx::query_scalar!("SELECT paused FROM service WHERE id = 1").fetch_one(pool))
            .await?;
        Ok(paused != 0)
    }

    /// When api_start_push_ticket was last called, also by an earlier process.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn push_asked_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = self
            .readers
            .read(|pool| {
                sqlx::query_scalar!("SELECT push_asked_at FROM service WHERE id = 1").fetch_one(pool)
            })
            .await?;
        Ok(at.as_deref().and_then(parse))
    }

    /// Writes down that api_start_push_ticket is called now.
    ///
    /// # Errors
    /// When the writer has ended.
    pub async fn set_push_asked(&self, at: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write(|done| Order::Change(Change::PushAsked(at), done))
            .await
            .map(|_| ())
    }

    /// How many requests are in each state, for those that have any.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn tally(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = self
            .readers
            .read(|pool| {
                sqlx::query!(r#"SELECT state, count(*) AS "n!: i64" FROM status GROUP BY state"#)
                    .fetch_all(pool)
            })
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.state, u64::try_from(row.n).unwrap_or(0)))
            .collect())
    }
}

#[cfg(test)]
mod tests;
