//! One daemon for one database: a lock on a file beside it, held as long as the process lives.
//!
//! The kernel drops the lock when its holder dies, however it dies. The file says who holds it, for whoever is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Holds the database for this process until it is dropped.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Guard {
    /// Takes the database at `path` for `holder` (such as `pid 812 on host1`).
    ///
    /// # Errors
    /// [`StoreError::Held`], naming the other one, or [`StoreError::Lock`] when the lock file can't be used.
    pub fn take(path: &Path, holder: &str) -> Result<Self, StoreError> {
        // Two names of one file must not give two daemons.
        let mut name = real(path).into_os_string();
        name.push(".lock");
        let lock = Path::new(&name);
        let failed = |source| StoreError::Lock {
            path: lock.to_owned(),
            source,
        };
        super::create(lock).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(lock)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(failed)?;
                return Err(StoreError::Held {
                    path: path.to_owned(),
                    holder: holder.trim().to_owned(),
                });
            }
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{holder}").map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The path without links. A database that is not there yet is named by its directory's path.
fn real(path: &Path) -> PathBuf {
    let of_directory = || {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(directory.join(path.file_name()?))
    };
    let whole = path.canonicalize().ok();
    whole.or_else(of_directory).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_one_database_leads_to_the_same_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let link = directory.path().join("link.db");
        let folder = directory.path().join("folder");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::os::unix::fs::symlink(directory.path(), &folder).unwrap();
        for exists in [false, true] {
            if exists {
                std::fs::write(&path, "").unwrap();
            }
            let _first = Guard::take(&path, "pid 1 on here").unwrap();
            let mut names = vec![folder.join("queue.db"), folder.join("./queue.db")];
            // A link to nothing has no other end yet.
            names.extend(exists.then(|| link.clone()));
            for name in names {
                let second = Guard::take(&name, "pid 2 on here");
                assert!(
                    matches!(second, Err(StoreError::Held { .. })),
                    "{}",
                    name.display()
                );
            }
        }
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is_until_that_one_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let first = Guard::take(&path, "pid 1 on here").unwrap();
        let refused = Guard::take(&path, "pid 2 on here").unwrap_err();
        assert!(
            matches!(&refused, StoreError::Held { holder, .. } if holder == "pid 1 on here"),
            "{refused}"
        );
        drop(first);
        Guard::take(&path, "pid 3 on here").unwrap();
    }
}
