//! One daemon for one database: a lock on a file beside it, held as long as the process lives.
//!
//! The kernel drops the lock when its holder dies, however it dies. The file says who holds it, for whoever is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

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
        let mut name = path.as_os_str().to_owned();
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

#[cfg(test)]
mod tests {
    use super::*;

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
