//! The cache file: a token outlives a restart, so that a restart fetches none.
//!
//! Written to a temporary file with mode 0600, synced, renamed: a reader finds the old one or the new one, whole. What
//! can't be read, or is about another platform, counts as none: a token can be fetched anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, parse, text};
use crate::credential::Token;

/// A cache file is no larger than this, in bytes.
const LARGEST: u64 = 8192;
const NO_CACHE_FILE: &str = "it is no cache file";

/// Where a token is kept, and whose it must be.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The file.
    pub file: PathBuf,
    /// The platform's `component_appid`.
    pub appid: String,
    /// The API it is for: a token of the simulator is none of Weixin's.
    pub api: String,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    component_appid: String,
    api: String,
    component_access_token: String,
    obtained_at: String,
    expires_at: String,
}

impl Cache {
    /// Reads the token, where there is one of this platform that is still live. A file that cannot be used is told of, and
    /// costs a token.
    #[must_use]
    pub fn load(&self, now: Timestamp) -> Option<Token> {
        self.look(now).unwrap_or_else(|error| {
            let path = self.file.display();
            tracing::warn!(%path, error, "the token's cache file cannot be used; a token is fetched");
            None
        })
    }

    /// Why the file cannot be used, in words of our own: serde_json's could quote the token.
    fn look(&self, now: Timestamp) -> Result<Option<Token>, String> {
        let Some(cached) = read(&self.file)? else {
            return Ok(None);
        };
        if cached.component_appid != self.appid || cached.api != self.api {
            return Err("it belongs to another platform".into());
        }
        let (Some(obtained_at), Some(expires_at)) = (parse(&cached.obtained_at), parse(&cached.expires_at))
        else {
            return Err(NO_CACHE_FILE.into());
        };
        let token = Token::new(&cached.component_access_token, obtained_at, expires_at);
        // A clock that was set back would make an old token look young.
        let live = obtained_at <= now && now < expires_at;
        Ok(token.ok().filter(|_| live))
    }

    /// Writes the token.
    pub(super) fn save(&self, token: &Token) -> io::Result<()> {
        let cached = Cached {
            component_appid: self.appid.clone(),
            api: self.api.clone(),
            component_access_token: token.expose().to_owned(),
            obtained_at: text(token.obtained_at),
            expires_at: text(token.expires_at),
        };
        let path = &self.file;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = Path::new(&temporary);
        // One that a crash left may have any mode. Where it cannot go, no new one can be created, which says why.
        let _ = fs::remove_file(temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(&serde_json::to_vec(&cached)?)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

/// What is in the file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Cached>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| NO_CACHE_FILE.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::clock::after;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn cache(directory: &Path) -> Cache {
        Cache {
            file: directory.join("token.json"),
            appid: "wx1".into(),
            api: "https://api.weixin.qq.com".into(),
        }
    }

    fn token() -> Token {
        Token::new("a-token", NOW, after(NOW, Duration::from_secs(7200))).unwrap()
    }

    #[test]
    fn a_live_token_outlives_a_restart_in_a_file_that_only_its_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        fs::write(directory.path().join("token.json.new"), "left by a crash").unwrap();
        cache.save(&token()).unwrap();
        assert_eq!(
            fs::metadata(&cache.file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(cache.load(NOW).unwrap().is(&token()));
        assert!(
            cache.load(after(NOW, Duration::from_secs(7200))).is_none(),
            "expired"
        );
        assert!(
            cache.load(NOW - Duration::from_secs(1)).is_none(),
            "the clock was set back"
        );
    }

    #[test]
    fn a_torn_or_foreign_cache_file_counts_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let ours = cache(directory.path());
        ours.save(&token()).unwrap();
        let another = Cache {
            appid: "wx2".into(),
            ..ours.clone()
        };
        let elsewhere = Cache {
            api: "http://127.0.0.1:1".into(),
            ..ours.clone()
        };
        assert!(another.load(NOW).is_none() && elsewhere.load(NOW).is_none());
        assert!(ours.load(NOW).is_some());
        let whole = fs::read(&ours.file).unwrap();
        fs::write(&ours.file, &whole[..whole.len() / 2]).unwrap();
        assert!(ours.load(NOW).is_none());
        fs::remove_file(&ours.file).unwrap();
        assert!(ours.load(NOW).is_none());
    }

    #[test]
    fn why_a_file_cannot_be_used_is_said_without_a_word_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let ours = cache(directory.path());
        let why = |cache: &Cache| cache.look(NOW).unwrap_err();
        assert!(ours.look(NOW).unwrap().is_none(), "none is no fault");
        fs::create_dir(&ours.file).unwrap();
        assert!(why(&ours).contains("directory"), "{}", why(&ours));
        fs::remove_dir(&ours.file).unwrap();
        ours.save(&token()).unwrap();
        let another = Cache {
            appid: "wx2".into(),
            ..ours.clone()
        };
        assert_eq!(why(&another), "it belongs to another platform");
        let whole = fs::read_to_string(&ours.file).unwrap();
        for spoilt in [
            &whole[..whole.len() / 2],
            &whole.replace("\"a-token\"", "a-token"),
            &whole.replace("1970-", "never "),
            "",
        ] {
            fs::write(&ours.file, spoilt).unwrap();
            assert_eq!(why(&ours), "it is no cache file", "{spoilt}");
        }
        // As much of it is read as can be one.
        for (room, fits) in [(8192, true), (8193, false)] {
            fs::write(&ours.file, format!("{whole:>room$}")).unwrap();
            assert_eq!(ours.look(NOW).is_ok(), fits, "{room}");
        }
    }
}
