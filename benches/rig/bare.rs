//! The bare client: the same calls with nothing around them. No daemon can be faster than this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Client, redirect};
use staticstored::clock::Stopwatch;
use tokio::task::JoinSet;

/// Makes `calls` createstaticstore calls, `in_flight` at a time, each answer read and parsed; returns calls per second.
///
/// # Errors
/// When a call fails or is answered with anything but errcode 0.
pub async fn calls_per_second(base_url: &str, calls: u64, in_flight: u64) -> Result<f64> {
    let client = client(in_flight)?;
    let url: Arc<str> = format!("{base_url}/componenttcb/createstaticstore?access_token=bench-token").into();
    call(&client, &url, 0).await?;
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    let taken = Stopwatch::start();
    for _ in 0..in_flight {
        let (client, url, next) = (client.clone(), Arc::clone(&url), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return Ok(());
                }
                call(&client, &url, number).await?;
            }
        });
    }
    callers.join_all().await.into_iter().collect::<Result<()>>()?;
    Ok(calls as f64 / taken.elapsed().as_secs_f64())
}

/// The settings of a client that is fit for production, as the daemon's own is.
fn client(in_flight: u64) -> Result<Client> {
    // Plain HTTP needs no TLS, but the client is not built without a provider.
    rustls::crypto::ring::default_provider().install_default().ok();
    Ok(Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(usize::try_from(in_flight)?)
        .no_proxy()
        .build()?)
}

async fn call(client: &Client, url: &str, number: u64) -> Result<()> {
    let body = serde_json::to_vec(&serde_json::json!({ "env": super::database::env(number) }))?;
    let answer = client.post(url).body(body).send().await?;
    ensure!(answer.status().is_success(), "HTTP {}", answer.status());
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
    ensure!(answer["errcode"] == 0, "{answer}");
    Ok(())
}
