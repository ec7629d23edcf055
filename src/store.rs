//! The database: the only module that names a table or writes SQL.
//!
//! One connection makes all of the daemon's writes, in groups (`writer`); reads have connections of their own, so that
//! they never wait for a commit. The file and its companions are never opened by other means: closing a descriptor
//! of our own would drop SQLite's locks.

pub mod desk;
mod error;
mod guard;
mod housekeeping;
mod patience;
mod place;
mod queue;
mod reader;
#[cfg(test)]
mod scratch;
mod service;
mod tickets;
mod writer;

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection, SqliteConnection};
use tokio_util::task::TaskTracker;

use crate::pulse::Pulse;
pub use error::StoreError;
pub use guard::Guard;
use place::Place;
pub use queue::{Attempt, Claimed, Settlement, Terms, Work};
use reader::Readers;
pub use service::{Identity, Vitals};
pub use tickets::{NewestTicket, PushedTicket};
use writer::Writer;

/// The oldest SQLite that does not corrupt a WAL database under concurrent checkpoints
/// (<https://sqlite.org/wal.html#walresetbug>).
pub const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a statement waits for another program's lock before it is tried anew.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The -wal file is cut to this when it is begun anew, bytes: a reader that stays for long can let it grow to any size.
pub const LARGEST_WAL: u64 = 16 * 1024 * 1024;

/// The mode of the files that are shared: owner and group may read and write, for the programs that insert requests are
/// in the directory's group. SQLite gives its -wal and -shm files the database's own mode.
const MODE: u32 = 0o660;

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
        .pragma("journal_size_limit", LARGEST_WAL.to_string())
        // A ticket that is pruned is gone from the file too. (FAST: where that costs no more writing.)
        .pragma("secure_delete", "FAST")
        .foreign_keys(false)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
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
    create(path).map_err(|error| StoreError::open(path, error.into()))?;
    let mut connection = connect(path, Access::Create).await?;
    check_version(&mut connection).await?;
    // Not `run`: what it borrows by cannot be sent to another thread.
    MIGRATIONS
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| StoreError::migrate(path, error))?;
    forget_statistics(&mut connection).await?;
    keep_service_row(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Puts the row of `service` back, which earlier schemas let everybody delete: without it no daemon would start.
async fn keep_service_row(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO service (id) VALUES (1)")
        .execute(connection)
        .await?;
    Ok(())
}

/// Drops the statistics that an earlier version's `PRAGMA optimize` or another program's `ANALYZE` left. They are those of a
/// queue of another size, and make SQLite scan whole tables where it should search.
async fn forget_statistics(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("DROP TABLE IF EXISTS sqlite_stat1")
        .execute(connection)
        .await?;
    Ok(())
}

/// Creates an empty file with [`MODE`], whatever the umask; does nothing if it is there. (One that is there is not opened:
/// closing it would drop the locks that SQLite holds on it for this process.)
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)
    {
        Ok(file) => file.set_permissions(Permissions::from_mode(MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version = sqlx::query_scalar!(r#"SELECT sqlite_version() AS "version!: String""#)
        .fetch_one(connection)
        .await?;
    if is_old(&version) {
        Err(StoreError::OldSqlite(version))
    } else {
        Ok(())
    }
}

fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part()) < OLDEST_SQLITE
}

/// The daemon's side of the database. Clones share one writer.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
}

impl Store {
    /// Migrates and opens the database and starts its writer on `tasks`. The writer ends when the last clone is gone; its
    /// beat is one of `pulse`.
    ///
    /// # Errors
    /// When it can't be opened, or was made by a newer staticstored.
    pub async fn open(path: &Path, pulse: &Pulse, tasks: &TaskTracker) -> Result<Self, StoreError> {
        migrate(path).await?;
        let connection = connect(path, Access::Write).await?;
        let place = Place::of(path).map_err(|error| StoreError::open(path, error.into()))?;
        let writer = Writer::start(connection, place, pulse, tasks);
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .idle_timeout(None)
            .max_lifetime(None)
            // A connection to a file is not lost; to ask would be one more hop to its thread before each read.
            .test_before_acquire(false)
            .connect_with(options(path, Access::Read))
            .await
            .map_err(|error| StoreError::open(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            readers: Readers::new(readers, pulse.clone()),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
