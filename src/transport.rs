//! What comes back to an HTTP client of ours before anybody reads it: a body up to a bound, or why there is none.
//!
//! The token travels in the query string, and a `reqwest::Error` prints its URL: it loses it here, where it becomes ours.

use std::error::Error;

use reqwest::Response;

/// The longest text of somebody else's that is kept, in characters.
pub const LONGEST_QUOTE: usize = 500;

/// Why nothing came back, or only a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What happened, with all its causes; without the URL.
    pub text: String,
    /// Whether there was no connection, so that nothing was sent.
    pub unsent: bool,
    /// Whether it was sent, and the time was over.
    pub timed_out: bool,
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        Self {
            text: with_causes(&error),
            unsent: error.is_connect(),
            timed_out: error.is_timeout() && !error.is_connect(),
        }
    }
}

/// Why a body is not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than the bound.
    TooLarge,
    /// It broke off.
    Broken(Broken),
}

/// Reads a body of up to `most` bytes.
///
/// # Errors
/// When it is larger, or breaks off.
pub async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Unread::Broken(error.into()))?
    {
        if body.len() + chunk.len() > most {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error and all its causes, on one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What somebody else said, fit to be kept and shown: without our `secrets`, should he quote them, on one line, and cut at
/// [`LONGEST_QUOTE`]. They are hidden before anything is cut: a piece of one would not be found any more.
#[must_use]
pub fn quote(text: &str, secrets: &[&str]) -> String {
    let text = secrets
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[hidden]"));
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_QUOTE)
        .collect()
}
