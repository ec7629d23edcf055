//! The socket that the token is shared on.

use std::path::Path;

use anyhow::Context as _;

use super::Finding;
use crate::cli::database::{folder, writable};
use crate::cli::session::Session;
use crate::config::Share;
use crate::owner::{Address, Owner, Settings};
use crate::share::{Found, look};

/// Long enough for a socket.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) async fn socket(session: &Session, share: &Share) -> Finding {
    let path = share.socket.display();
    let who = format!("{path}, mode {:04o}", share.mode);
    match look(&share.socket).await? {
        Found::Taken => {
            anyhow::ensure!(
                shares(session, share).await?,
                "another program than staticstored listens on {path} (share.socket)"
            );
            Ok(format!("{who}; a daemon shares its token there"))
        }
        Found::Stale => creatable(share).map(|()| format!("{who}; nobody listens, the daemon replaces it")),
        Found::Free if made_by_systemd(folder(&share.socket)) => {
            Ok(format!("{who}; its directory is made when the service starts"))
        }
        Found::Free => creatable(share).map(|()| format!("{who}; not in use")),
    }
}

/// Whether what listens there answers as a staticstored does, with a token or with the reason why there is none.
async fn shares(session: &Session, share: &Share) -> anyhow::Result<bool> {
    let owner = Owner::new(&Settings {
        address: Address::Socket(share.socket.clone()),
        bearer: None,
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
    })?;
    let answer = owner.current(session.clock.now()).await;
    Ok(answer.map_or_else(|error| error.lacks, |_| true))
}

/// A directory in /run that is not there: RuntimeDirectory= of the unit makes it, and takes it away at the stop.
fn made_by_systemd(folder: &Path) -> bool {
    folder.parent() == Some(Path::new("/run")) && !folder.exists()
}

fn creatable(share: &Share) -> anyhow::Result<()> {
    let folder = folder(&share.socket);
    writable(folder).with_context(|| {
        format!(
            "share.socket cannot be made in {} (in the unit, RuntimeDirectory=staticstored makes /run/staticstored)",
            folder.display()
        )
    })
}
