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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use crate::store::{Access, connect};

    #[tokio::test]
    async fn a_full_disk_a_lock_and_a_read_only_file_pass_and_a_statement_that_is_wrong_does_not() {
        let scratch = Scratch::new().await;
        let insert = "INSERT INTO queue (env) VALUES ('a')";
        let mut full = scratch.connection().await;
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
            .fetch_one(&mut full)
            .await
            .unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::raw_sql(limit).execute(&mut full).await.unwrap();
        let mut read_only = connect(scratch.store.path(), Access::Read).await.unwrap();
        let mut locked = scratch.connection().await;
        sqlx::raw_sql("PRAGMA busy_timeout = 0")
            .execute(&mut locked)
            .await
            .unwrap();
        let (mut one, mut another) = (scratch.connection().await, scratch.connection().await);
        let mut holder = scratch.connection().await;
        let fills = "INSERT INTO attempt (env, at, call, errmsg, latency_ms, outcome)
                     VALUES ('a', '', 'create', hex(zeroblob(9000)), 1, '')";
        let mut errors = Vec::new();
        for (connection, sql, passes) in [
            (&mut full, fills, true),
            (&mut read_only, insert, true),
            (&mut one, "INSERT INTO queue (env) VALUES ('no env')", false),
            (&mut another, "INSERT INTO nothing VALUES (1)", false),
        ] {
            let error = sqlx::raw_sql(sql).execute(connection).await.unwrap_err();
            errors.push((StoreError::from(error), passes));
        }
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut holder)
            .await
            .unwrap();
        let error = sqlx::raw_sql(insert).execute(&mut locked).await.unwrap_err();
        errors.push((StoreError::from(error), true));
        errors.push((StoreError::Gone, false));
        for (error, passes) in errors {
            assert_eq!(error.passes(), passes, "{error}");
        }
    }
}
