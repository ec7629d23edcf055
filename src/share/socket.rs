//! The socket's file: made with its mode and group before anybody can connect, replaced only where nobody listens,
//! removed only where it is still ours.
//!
//! It is made in a directory that only this user can enter, and then renamed into place. An umask would do the same,
//! but for the whole process, whose other threads make files meanwhile.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// How long it may take to see whether somebody listens.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the token can't be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// Somebody listens there.
    #[error("the socket {0} (share.socket) is in use: another program listens on it")]
    Taken(PathBuf),
    /// There is something that is not ours to remove.
    #[error("{0} (share.socket) is no socket, and is left alone: remove it, or name another path")]
    NotASocket(PathBuf),
    /// Its directory.
    #[error("the directory {folder} of share.socket must be there, for this user to write to: {source}")]
    Folder {
        /// The directory.
        folder: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Anything else.
    #[error("the socket {path} (share.socket) cannot be made: {source}")]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is at a path where a socket is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Free,
    /// A socket that nobody listens on: a daemon died.
    Stale,
    /// A socket that somebody listens on.
    Taken,
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket; it is removed with this value.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another file by this name is not ours.
    id: (u64, u64),
}

impl Socket {
    /// Listens at `path`; those whom `mode` and the directory's group let may connect.
    ///
    /// # Errors
    /// When somebody listens there, when there is something else, or when the directory does not let us.
    pub async fn bind(path: &Path, mode: u32) -> Result<Self, ShareError> {
        let _turn = Turn::take(path)?;
        if look(path).await? == Found::Taken {
            return Err(ShareError::Taken(path.to_owned()));
        }
        make(path, mode).map_err(|source| ShareError::Failed {
            path: path.to_owned(),
            source,
        })
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn make(path: &Path, mode: u32) -> io::Result<Socket> {
    let mut private = tempfile::Builder::new();
    private.prefix(".").rand_bytes(6);
    let private = private
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder(path))?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, Permissions::from_mode(mode))?;
    let file = SocketFile {
        path: path.to_owned(),
        id: id(&fs::symlink_metadata(&made)?),
    };
    fs::rename(&made, path)?;
    Ok(Socket { listener, file })
}

/// Looks what is at `path`; changes nothing.
///
/// # Errors
/// When it is no socket, or can't be looked at.
pub async fn look(path: &Path) -> Result<Found, ShareError> {
    let failed = |source| ShareError::Failed {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_socket() => {}
        Ok(_) => return Err(ShareError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Free),
        Err(error) => return Err(failed(error)),
    }
    match tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused => Ok(Found::Stale),
            ErrorKind::NotFound => Ok(Found::Free),
            // Its queue is full.
            ErrorKind::WouldBlock => Ok(Found::Taken),
            _ => Err(failed(error)),
        },
        Ok(Ok(_)) | Err(_) => Ok(Found::Taken),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _turn = Turn::take(&self.path);
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|about| id(&about) == self.id);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// A lock on the directory for the moment in which a socket is looked at and replaced, so that of two daemons that start
/// at once the later one finds the earlier one's socket.
struct Turn(#[expect(dead_code, reason = "closing it lets the lock go")] File);

impl Turn {
    fn take(path: &Path) -> Result<Self, ShareError> {
        let folder = folder(path);
        let unusable = |source| ShareError::Folder {
            folder: folder.to_owned(),
            source,
        };
        let directory = File::open(folder).map_err(unusable)?;
        match directory.try_lock() {
            Ok(()) => Ok(Self(directory)),
            Err(TryLockError::WouldBlock) => Err(ShareError::Taken(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

fn id(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    fn mode(path: &Path) -> io::Result<u32> {
        fs::symlink_metadata(path).map(|about| about.permissions().mode() & 0o7777)
    }

    #[tokio::test]
    async fn it_never_has_another_mode_than_the_wanted_one_not_even_for_a_moment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.sock");
        let (done, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut wrong = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    if let Ok(found) = mode(&path) {
                        seen.fetch_add(1, Ordering::Relaxed);
                        wrong.extend((found != 0o640).then_some(found));
                    }
                }
                wrong
            });
            let binder = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    // As long as it takes to be looked at often.
                    while seen.load(Ordering::Relaxed) < 300 {
                        drop(Socket::bind(&path, 0o640).await.unwrap());
                    }
                });
            });
            let bound = binder.join();
            done.store(true, Ordering::Relaxed);
            bound.unwrap();
            assert_eq!(watcher.join().unwrap(), [0_u32; 0]);
        });
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 0, "nothing is left");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_daemons_that_start_at_once_one_gets_it_and_the_others_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.sock");
        for _ in 0..50 {
            // A crash has left it.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            assert_eq!(look(&path).await.unwrap(), Found::Stale);
            let mut starts = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let path = path.clone();
                starts.spawn(async move { Socket::bind(&path, 0o660).await });
            }
            let (bound, refused): (Vec<_>, Vec<_>) =
                starts.join_all().await.into_iter().partition(Result::is_ok);
            assert_eq!(bound.len(), 1);
            for refused in refused {
                assert!(matches!(refused, Err(ShareError::Taken(_))), "{refused:?}");
            }
            assert_eq!(look(&path).await.unwrap(), Found::Taken);
            drop(bound);
            assert_eq!(look(&path).await.unwrap(), Found::Free);
        }
    }

    #[tokio::test]
    async fn one_that_is_no_longer_ours_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.sock");
        let ours = Socket::bind(&path, 0o660).await.unwrap();
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        assert_eq!(look(&path).await.unwrap(), Found::Taken);
    }
}
