//! `staticstored init`: the database, before the daemon's first start.

use super::database::{self, explained, folder, missing};
use super::session::Session;
use crate::store::{self, Access, desk};

pub(super) async fn run(session: &mut Session) -> anyhow::Result<()> {
    let path = session.config()?.database.path;
    let existed = path.exists();
    anyhow::ensure!(folder(&path).is_dir(), "{}", missing(&path));
    store::migrate(&path)
        .await
        .map_err(|error| explained(&path, error))?;
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
