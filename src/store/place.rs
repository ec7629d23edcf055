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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_its_place_until_another_one_or_none_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        std::fs::write(&path, "one").unwrap();
        let place = Place::of(&path).unwrap();
        std::fs::write(&path, "the same, written to").unwrap();
        place.check().unwrap();
        // The old one is still there, so the new one cannot have its number.
        std::fs::rename(&path, directory.path().join("old.db")).unwrap();
        assert!(matches!(place.check(), Err(StoreError::Replaced { path: at }) if at == path));
        std::fs::write(&path, "another").unwrap();
        assert!(matches!(place.check(), Err(StoreError::Replaced { path: at }) if at == path));
        std::fs::rename(directory.path().join("old.db"), &path).unwrap();
        place.check().unwrap();
    }
}
