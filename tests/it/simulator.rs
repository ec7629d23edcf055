//! The simulator, asked over real HTTP.

use serde_json::{Value, json};
use staticstored::simulator::{Endpoint, Options, Simulator};

const EXCHANGE: &str = "/cgi-bin/component/api_component_token";
const CREATE: &str = "/componenttcb/createstaticstore";

/// A client of the platform, and the platform.
struct World {
    simulator: Simulator,
    client: reqwest::Client,
    options: Options,
}

impl World {
    async fn new(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        let simulator = Simulator::start(options.clone()).await.unwrap();
        Self {
            simulator,
            client: client.unwrap(),
            options,
        }
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Result<reqwest::Response> {
        self.client
            .post(self.simulator.url() + path)
            .body(body)
            .send()
            .await
    }

    async fn json(&self, path: &str, body: Value) -> Value {
        serde_json::from_str(
            &self
                .post(path, body.to_string())
                .await
                .unwrap()
                .text()
                .await
                .unwrap(),
        )
        .unwrap()
    }

    async fn exchange(&self) -> String {
        let Options {
            appid,
            appsecret,
            ticket,
            ..
        } = &self.options;
        let body = json!({"component_appid": appid, "component_appsecret": appsecret, "component_verify_ticket": ticket});
        self.json(EXCHANGE, body).await["component_access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[tokio::test]
async fn a_ticket_buys_a_token_and_the_token_opens_a_store() {
    let world = World::new(Options::default()).await;
    let token = world.exchange().await;
    let answer = world
        .json(&format!("{CREATE}?access_token={token}"), json!({"env": "a"}))
        .await;
    assert_eq!(answer, json!({"errcode": 0, "errmsg": "ok"}));
    assert_eq!(world.simulator.effective_creates("a"), 1);
    assert_eq!(world.simulator.calls(Endpoint::Create), 1);
}
