//! What can go wrong with the database, and whether it passes.

use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

/// Why the database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be opened.
    #[error("the database {path} cannot be opened: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: sqlx::Error,
    },
    /// It can't be brought to our schema.
    #[error("the database {path} cannot be migrated: {source}")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<MigrateError>,
    },
    /// Its schema is newer than this program.
    #[error(
        "the database {path} was made by a newer staticstored (schema {schema}): install that version, or restore a backup"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        schema: i64,
    },
    /// The SQLite library has a bug that corrupts databases.
    #[error(
        "SQLite {0} is too old: staticstored needs 3.51.3, which mends a bug that can corrupt the database"
    )]
    OldSqlite(String),
    /// Another daemon holds it.
    #[error("the database {path} is held by {holder}")]
    Held {
        /// The file.
        path: PathBuf,
        /// The other daemon, as it wrote itself down.
        holder: String,
    },
    /// The lock file can't be used.
    #[error("the lock file {path} cannot be used: {source}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another file is at its path, or none.
    #[error(
        "the database {path} was replaced or removed under the running daemon: what is there now is left as it is, and is \
         served after a new start"
    )]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The writer has ended.
    #[error("the database's writer has ended")]
    Gone,
    /// A statement failed.
    #[error("the database failed: {0}")]
    Statement(#[from] sqlx::Error),
}

impl StoreError {
    pub(super) fn open(path: &Path, source: sqlx::Error) -> Self {
        Self::Open {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn migrate(path: &Path, source: MigrateError) -> Self {
        let path = path.to_owned();
        match source {
            MigrateError::VersionMissing(schema) => Self::Newer { path, schema },
            source => Self::Migrate {
                path,
                source: Box::new(source),
            },
        }
    }

    /// Whether it passes, so that the same statement is worth another try: somebody's lock, a full disk, a file
    /// system that is read-only for now.
    pub(super) fn passes(&self) -> bool {
        let Self::Statement(sqlx::Error::Database(error)) = self else {
            return false;
        };
        let code = error
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .unwrap_or(0);
        // Primary result codes: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL.
        matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14 | 15)
    }
}
