//! The file that was opened, and whether it is still the one at its path.
//!
//! SQLite notices nothing of a database that is moved away or replaced (by a restore, say, for which nobody stopped the
//! daemon): it goes on with a file without a name, and whatever is written there is lost. It is only looked at, never opened.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::StoreError;

#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    opened: (u64, u64),
}

impl Place {
    /// Of a file that was just opened.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            opened: identity(&path.metadata()?),
        })
    }

    /// Refuses to go on with a file that is no longer the one that everybody else sees.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self
            .path
            .metadata()
            .is_ok_and(|now| identity(&now) == self.opened)
        {
            return Ok(());
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
        })
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
