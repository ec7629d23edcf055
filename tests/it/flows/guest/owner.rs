//! A program that owns the token and is no staticstored: it answers what a test tells it to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use staticstored::credential::{AppSecret, Ticket};
use staticstored::simulator::{Options, Simulator};
use staticstored::weixin::{Settings, Weixin};

/// What it answers to everything, but for a `reject` that it does not know.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub location: Option<String>,
    /// It never comes.
    pub silent: bool,
}

/// A call that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub line: String,
    pub authorization: Option<String>,
}

#[derive(Clone)]
pub struct Owner {
    pub url: String,
    said: Arc<Mutex<Answer>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Answer {
    pub fn of(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
            location: None,
            silent: false,
        }
    }

    pub fn token(token: &str, seconds: u64) -> Self {
        let body = format!(r#"{{"component_access_token":"{token}","expires_in":{seconds}}}"#);
        Self::of(200, &body)
    }
}

impl Owner {
    /// One that has no `reject`.
    pub async fn start(first: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = Self {
            url: format!("http://{}/tokens/component", listener.local_addr().unwrap()),
            said: Arc::new(Mutex::new(first)),
            calls: Arc::default(),
        };
        let served = owner.clone();
        let answer = move |request: Request| {
            let served = served.clone();
            let authorization = request.headers().get(header::AUTHORIZATION);
            let call = Call {
                line: format!("{} {}", request.method(), request.uri().path()),
                authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
            };
            async move { served.answer(call).await }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        owner
    }

    pub fn say(&self, answer: Answer) {
        *self.said.lock().unwrap() = answer;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    async fn answer(&self, call: Call) -> Response {
        let rejects = call.line.ends_with("/reject");
        self.calls.lock().unwrap().push(call);
        let answer = self.said.lock().unwrap().clone();
        if answer.silent {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if answer.status == 200 && rejects {
            return StatusCode::NOT_FOUND.into_response();
        }
        let status = StatusCode::from_u16(answer.status).unwrap();
        match answer.location {
            Some(there) => (status, [(header::LOCATION, there)], answer.body).into_response(),
            None => (status, answer.body).into_response(),
        }
    }
}

/// A new token of the platform, fetched as its owner does.
pub async fn new_token(simulator: &Simulator) -> String {
    let weixin = Weixin::new(&Settings {
        base_url: simulator.url().parse().unwrap(),
        proxy: None,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        connections: 1,
    })
    .unwrap();
    let options = Options::default();
    let secret = AppSecret::parse(&options.appsecret).unwrap();
    let ticket = Ticket::parse(&simulator.ticket()).unwrap();
    let grant = weixin.exchange(&options.appid, &secret, &ticket).await.unwrap();
    grant.component_access_token.expose_secret().to_owned()
}
