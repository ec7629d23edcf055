//! The database: the only module that names a table or writes SQL.

pub mod desk;
mod error;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};

pub use error::StoreError;

/// How long a statement waits for another program's lock before it is tried anew.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The schema's history.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read only.
    Read,
    /// To read and write; the file must exist.
    Write,
    /// To read and write; the file is created if need be.
    Create,
}

/// Opens one connection.
///
/// # Errors
/// When the file can't be opened, or is no database.
pub async fn connect(path: &Path, access: Access) -> Result<SqliteConnection, StoreError> {
    SqliteConnection::connect_with(&options(path, access))
        .await
        .map_err(|error| StoreError::open(path, error))
}

fn options(path: &Path, access: Access) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .create_if_missing(access == Access::Create)
        .read_only(access == Access::Read)
        .pragma("cache_size", "-2000")
        .foreign_keys(false)
        .synchronous(SqliteSynchronous::Full);
    if access == Access::Create {
        options.journal_mode(SqliteJournalMode::Wal)
    } else {
        options
    }
}

/// Creates the database, or brings it to the newest schema.
///
/// # Errors
/// When it can't be opened, or was made by a newer staticstored.
pub async fn migrate(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path, Access::Create).await?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| StoreError::migrate(path, error))?;
    connection.close().await?;
    Ok(())
}
