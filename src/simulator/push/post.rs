//! A letter on its way: where to, over which wire, and what is said to it there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::select;

use super::{Letter, Seal};

/// The longest answer that is read; `success` is what is wanted.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Who is pushed to: a URL on loopback, and what its owner knows to open a letter.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    path: String,
    seal: Arc<Seal>,
}

/// A URL that the simulator does not push to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no http URL on a loopback address, such as http://127.0.0.1:8019/weixin/callback")]
pub struct BadTarget(String);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No [`Target`] is set.
    #[error("there is nobody to push to")]
    NoTarget,
    /// Nobody listens there.
    #[error("no connection: {0}")]
    NoConnection(#[from] std::io::Error),
    /// The connection broke, or it is not HTTP that is spoken there.
    #[error("no answer: {0}")]
    NoAnswer(#[from] hyper::Error),
    /// A body that breaks off or is longer than anything sensible.
    #[error("no whole answer")]
    NoWholeAnswer,
    /// It took longer than Weixin waits.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
}

impl Answer {
    /// Whether it is what Weixin wants to hear: `success`, and nothing besides.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == 200 && self.body == "success"
    }
}

impl Target {
    /// Takes a URL of the form `http://ADDRESS:PORT/PATH`.
    ///
    /// # Errors
    /// When it is another one: whoever is to be tested is on this machine.
    pub fn new(url: &str, seal: Seal) -> Result<Self, BadTarget> {
        let bad = || BadTarget(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let authority = authority.replace("localhost", "127.0.0.1");
        let address = authority
            .parse()
            .or_else(|_| format!("{authority}:80").parse::<SocketAddr>())
            .map_err(|_| bad())?;
        let fits = uri.scheme_str() == Some("http") && address.ip().is_loopback() && uri.query().is_none();
        fits.then(|| Self {
            address,
            path: uri.path().to_owned(),
            seal: Arc::new(seal),
        })
        .ok_or_else(bad)
    }

    /// What its letters are sealed with.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Sends a letter and returns the answer.
    ///
    /// # Errors
    /// When none comes within `patience`.
    pub async fn post(&self, letter: &Letter, patience: Duration) -> Result<Answer, Undelivered> {
        match tokio::time::timeout(patience, self.exchange(letter)).await {
            Ok(answer) => answer,
            Err(_) => Err(Undelivered::TooSlow(patience)),
        }
    }

    async fn exchange(&self, letter: &Letter) -> Result<Answer, Undelivered> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let response = sender.send_request(self.request(letter)).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let body = body.map_err(|_| Undelivered::NoWholeAnswer)?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(Answer { status, body })
        };
        tokio::pin!(answer);
        select! {
            biased;
            answer = &mut answer => answer,
            // Whatever it ended with, the answer knows as well, and may be there in full.
            _ = connection => answer.await,
        }
    }

    fn request(&self, letter: &Letter) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(letter.body().as_bytes())));
        *request.method_mut() = hyper::Method::POST;
        // A path that was parsed once, and a query of hex and digits.
        *request.uri_mut() = format!("{}?{}", self.path, letter.query())
            .parse()
            .unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/xml"));
        if let Ok(host) = self.address.to_string().parse() {
            headers.insert(HOST, host);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, BadTarget> {
        Target::new(url, Seal::new("t", &"A".repeat(43), "wx1").unwrap())
    }

    #[test]
    fn only_an_http_url_on_this_machine_is_pushed_to() {
        for url in [
            "http://127.0.0.1:8019/weixin/callback",
            "http://[::1]:8019/",
            "http://localhost:8019/a",
            "http://127.0.0.1",
        ] {
            assert!(target(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/weixin/callback",
            "127.0.0.1:8019",
            "https://127.0.0.1/",
            "http://192.0.2.1/",
            "http://example.com/",
            "http://127.0.0.1:8019/?a=b",
            "http://user@127.0.0.1/",
        ] {
            let error = target(url).unwrap_err().to_string();
            assert!(error.starts_with(url) && error.contains("loopback"), "{error}");
        }
    }

    #[test]
    fn nothing_but_success_is_success() {
        let answer = |status, body: &str| Answer {
            status,
            body: body.to_owned(),
        };
        assert!(answer(200, "success").is_success());
        for (status, body) in [(200, "success\n"), (200, "SUCCESS"), (200, ""), (201, "success")] {
            assert!(!answer(status, body).is_success(), "{status} {body:?}");
        }
    }
}
