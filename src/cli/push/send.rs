//! A letter on its way over the internet, and what came back.
//!
//! Not by the simulator's client, which knows loopback only: this one has to meet TLS, redirects and other people's pages as
//! Weixin would.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Client, Response, Url, redirect};

use crate::clock::Stopwatch;
use crate::simulator::push::Letter;

/// How long Weixin waits for an answer (weixin-api.md 3.1).
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// An answer.
    Answer(Answer),
    /// A connection, and over it no TLS that can be trusted.
    Untrusted(String),
    /// No connection.
    Unreachable(String),
    /// No answer in time.
    TooLate,
    /// A connection that broke, or no HTTP.
    Broken(String),
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    pub(super) taken: Duration,
}

/// Sends letters to a URL.
pub(super) struct Sender {
    client: Client,
    url: Url,
    patience: Duration,
}

impl Sender {
    /// A client that behaves as Weixin does: no redirect is followed, and no proxy is used.
    pub(super) fn new(url: &Url, patience: Duration) -> anyhow::Result<Self> {
        // For the whole process; that it is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("staticstored/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(patience)
            .no_proxy()
            .build()
            .map_err(reqwest::Error::without_url)?;
        Ok(Self {
            client,
            url: url.clone(),
            patience,
        })
    }

    /// Sends a letter.
    pub(super) async fn send(&self, letter: &Letter) -> Came {
        let mut url = self.url.clone();
        url.set_query(Some(letter.query()));
        let taken = Stopwatch::start();
        let request = self
            .client
            .post(url)
            .header("content-type", "text/xml")
            .body(letter.body().to_owned());
        let answer = async { read(request.send().await?, taken).await };
        answer.await.unwrap_or_else(|error| self.failed(error))
    }

    fn failed(&self, error: reqwest::Error) -> Came {
        let error = error.without_url();
        if let Some(tls) = tls(&error) {
            return Came::Untrusted(tls);
        }
        let text = chain(&error);
        match (error.is_timeout(), error.is_connect()) {
            (true, false) => Came::TooLate,
            (true, true) => Came::Unreachable(format!("no connection within {:?}", self.patience)),
            (false, true) => Came::Unreachable(text),
            (false, false) => Came::Broken(text),
        }
    }
}

async fn read(mut response: Response, taken: Stopwatch) -> Result<Came, reqwest::Error> {
    let location = response.headers().get("location");
    let location = location.map(|at| String::from_utf8_lossy(at.as_bytes()).into_owned());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < LONGEST_ANSWER
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    Ok(Came::Answer(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
        location,
        taken: taken.elapsed(),
    }))
}

/// What rustls says, where it was rustls.
fn tls(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| {
        let mut carried = cause;
        // An I/O error shows as its cause that of what it carries, not that itself.
        while let Some(inner) = carried.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            carried = inner;
        }
        carried.downcast_ref::<rustls::Error>().map(ToString::to_string)
    })
}

fn chain(error: &reqwest::Error) -> String {
    // The first says that something was being sent, which is known.
    let told: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    if told.is_empty() {
        error.to_string()
    } else {
        told.join(": ")
    }
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    let next = |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> { (*error).source() };
    std::iter::successors(Some(first), next)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Clock;
    use crate::simulator::push::{Event, Seal};

    fn letter() -> Letter {
        let now = Clock::system().now();
        let seal = Seal::new("token", &"A".repeat(43), "wx1").unwrap();
        seal.letter(&Event::other("staticstored_test", now), now)
    }

    async fn sent(url: &str, patience: Duration) -> Came {
        let sender = Sender::new(&url.parse().unwrap(), patience).unwrap();
        sender.send(&letter()).await
    }

    /// What comes of a push to somebody who says this and hangs up; a body is left unread.
    async fn said(text: &'static str) -> Came {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8192];
            tokio::io::AsyncReadExt::read(&mut stream, &mut request)
                .await
                .unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
        };
        tokio::join!(sent(&url, PATIENCE), server).0
    }

    #[tokio::test]
    async fn an_answer_is_told_with_its_status_body_and_location_and_no_redirect_is_followed() {
        let redirect =
            said("HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/\r\nContent-Length: 2\r\n\r\nno").await;
        let Came::Answer(answer) = redirect else {
            panic!("{redirect:?}")
        };
        assert_eq!((answer.status, answer.body.as_str()), (302, "no"));
        assert_eq!(answer.location.as_deref(), Some("https://192.0.2.1/"));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_too_late_and_who_is_not_there_unreachable() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // The kernel takes the connection, and nobody answers on it.
        assert_eq!(sent(&url, Duration::from_millis(100)).await, Came::TooLate);
        drop(listener);
        let came = sent(&url, PATIENCE).await;
        assert!(
            matches!(&came, Came::Unreachable(why) if why.contains("refused")),
            "{came:?}"
        );
    }

    #[tokio::test]
    async fn a_connection_that_breaks_and_one_without_tls_are_told_apart() {
        let came = said("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsucc").await;
        assert!(matches!(came, Came::Broken(_)), "{came:?}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        };
        let came = tokio::join!(sent(&url, PATIENCE), server).0;
        assert!(matches!(came, Came::Untrusted(_)), "{came:?}");
    }

    #[tokio::test]
    async fn no_error_shows_the_url() {
        let came = format!(
            "{:?}",
            sent("http://127.0.0.1:1/canary", Duration::from_secs(1)).await
        );
        assert!(!came.contains("canary") && !came.contains("signature"), "{came}");
    }
}
