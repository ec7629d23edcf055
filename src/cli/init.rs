//! `staticstored init`: the database, before the daemon's first start.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::database::{self, explained, folder, missing};
use super::session::Session;
use crate::store::{self, Access, desk};

/// Owner and group may read and write: the programs that insert requests are in the directory's group. SQLite gives
/// its -wal and -shm files the database's own mode.
const MODE: u32 = 0o660;

pub(super) async fn run(session: &mut Session) -> anyhow::Result<()> {
    let path = session.config()?.database.path;
    let existed = path.exists();
    anyhow::ensure!(folder(&path).is_dir(), "{}", missing(&path));
    store::migrate(&path)
        .await
        .map_err(|error| explained(&path, error))?;
    if !existed {
        share(&path)?;
    }
    let mut connection = store::connect(&path, Access::Read).await?;
    let schema = desk::schema(&mut connection).await?.known;
    database::close(connection).await?;
    let done = if existed { "is there" } else { "was created" };
    session.screen.line(format_args!(
        "the database {} {done}, schema {schema}",
        path.display()
    ))?;
    Ok(())
}

fn share(path: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
        .with_context(|| format!("the mode of {} cannot be set", path.display()))
}
