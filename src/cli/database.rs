//! Opening the database as a guest: it is never created here, and what is in the way is said in words.

use std::path::Path;

use anyhow::Context as _;
use sqlx::{Connection as _, SqliteConnection};

use crate::config::Database;
use crate::store::{self, Access, StoreError, desk};

/// Opens the database of a configuration, if it is there and has our schema.
///
/// # Errors
/// When it is missing, cannot be opened, or has another schema, with what to do about it.
pub(super) async fn open(database: &Database, access: Access) -> anyhow::Result<SqliteConnection> {
    let path = &database.path;
    anyhow::ensure!(path.exists(), "{}", missing(path));
    let mut connection = store::connect(path, access)
        .await
        .map_err(|error| explained(path, error))?;
    let schema = desk::schema(&mut connection)
        .await
        .map_err(|error| explained(path, error))?;
    match schema.found {
        Some(found) if found > schema.known => Err(StoreError::Newer {
            path: path.clone(),
            schema: found,
        }
        .into()),
        Some(found) if found == schema.known => Ok(connection),
        found => {
            let found = found.map_or("none".to_owned(), |found| found.to_string());
            let known = schema.known;
            anyhow::bail!(
                "the database {} has not the schema of this version (it has {found}, needed is {known}): \
                 `staticstored init` brings it there",
                path.display()
            )
        }
    }
}

/// Closes it, so that the last one to leave puts the -wal file's content into the database.
///
/// # Errors
/// When SQLite cannot.
pub(super) async fn close(connection: SqliteConnection) -> anyhow::Result<()> {
    connection
        .close()
        .await
        .context("the database could not be closed")
}

/// What to say of a database that is not there.
pub(super) fn missing(path: &Path) -> String {
    let folder = folder(path);
    if folder.is_dir() {
        format!(
            "there is no database {}: `staticstored init` creates it",
            path.display()
        )
    } else {
        format!(
            "there is no directory {}: create it, then `staticstored init` creates the database in it",
            folder.display()
        )
    }
}

/// Adds to an error what is most often behind it: who may write.
pub(super) fn explained(path: &Path, error: StoreError) -> anyhow::Error {
    let folder = folder(path);
    let named = matches!(
        error,
        StoreError::Open { .. } | StoreError::Migrate { .. } | StoreError::Newer { .. }
    );
    match writable(folder) {
        Err(refused) => anyhow::Error::new(error).context(format!(
            "the directory {} is not writable ({refused}), and SQLite keeps its -wal and -shm files there: \
             let the user be in the directory's group",
            folder.display()
        )),
        Ok(()) if named => error.into(),
        Ok(()) => {
            anyhow::Error::new(error).context(format!("the database {} cannot be used", path.display()))
        }
    }
}

/// Whether a file can be made in a directory: tried, because permission bits are only half of it.
pub(super) fn writable(folder: &Path) -> std::io::Result<()> {
    tempfile::Builder::new()
        .prefix(".staticstored-")
        .tempfile_in(folder)
        .map(drop)
        .map_err(|error| error.kind().into())
}

/// The directory that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
