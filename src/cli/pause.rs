//! `staticstored pause` and `staticstored resume`.

use super::database;
use super::session::Session;
use crate::store::{Access, desk};

pub(super) async fn run(session: &mut Session, paused: bool) -> anyhow::Result<()> {
    let config = session.config()?;
    let mut connection = database::open(&config.database, Access::Write).await?;
    desk::set_paused(&mut connection, paused)
        .await
        .map_err(|error| database::explained(&config.database.path, error))?;
    database::close(connection).await?;
    session.screen.line(if paused {
        "paused: no new calls from within a second on; requests may still be inserted (`staticstored resume` goes on)"
    } else {
        "resumed"
    })?;
    Ok(())
}
