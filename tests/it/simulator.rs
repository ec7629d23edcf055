//! The simulator, asked over real HTTP.

mod connections;
mod faults;
mod push;
mod rules;
mod scenario;

use serde_json::{Value, json};
use staticstored::simulator::{Options, Simulator};

const EXCHANGE: &str = "/cgi-bin/component/api_component_token";
const START_PUSH_TICKET: &str = "/cgi-bin/component/api_start_push_ticket";
const CREATE: &str = "/componenttcb/createstaticstore";
const DESCRIBE: &str = "/componenttcb/describestaticstore";

/// The platform, and a client of it that says just what a test tells it to say.
struct World {
    simulator: Simulator,
    client: reqwest::Client,
}

impl World {
    async fn new(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection for each call: one kept from the call before may be cut without the client having seen it yet.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy();
        Self {
            simulator: Simulator::start(options).await.unwrap(),
            client: client.build().unwrap(),
        }
    }

    /// A platform that has given out one token.
    async fn with_token(options: Options) -> Self {
        let world = Self::new(options).await;
        world.simulator.revoke_token();
        world
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Result<reqwest::Response> {
        self.client
            .post(self.simulator.url() + path)
            .body(body)
            .send()
            .await
    }

    /// The whole body of the answer.
    async fn text(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Result<String> {
        self.post(path, body).await?.text().await
    }

    async fn json(&self, path: &str, body: impl Into<reqwest::Body>) -> Value {
        serde_json::from_str(&self.text(path, body).await.unwrap()).unwrap()
    }

    async fn errcode(&self, path: &str, body: impl Into<reqwest::Body>) -> i64 {
        self.json(path, body).await["errcode"].as_i64().unwrap()
    }

    /// A path with the latest token.
    fn with(&self, path: &str) -> String {
        format!("{path}?access_token={}", self.simulator.current_token().unwrap())
    }

    async fn create(&self, env: &str) -> i64 {
        self.errcode(&self.with(CREATE), about(env)).await
    }

    /// A create as its caller sees it when the answer may be missing.
    async fn try_create(&self, env: &str) -> reqwest::Result<String> {
        self.text(&self.with(CREATE), about(env)).await
    }

    async fn describe(&self, env: &str) -> Value {
        self.json(&self.with(DESCRIBE), about(env)).await
    }

    /// The body of an exchange that is right, until a test changes it.
    fn credentials(&self) -> Value {
        let Options { appid, appsecret, .. } = Options::default();
        json!({
            "component_appid": appid,
            "component_appsecret": appsecret,
            "component_verify_ticket": self.simulator.ticket(),
        })
    }

    async fn exchange(&self) -> Value {
        self.json(EXCHANGE, self.credentials().to_string()).await
    }
}

fn about(env: &str) -> String {
    json!({ "env": env }).to_string()
}
