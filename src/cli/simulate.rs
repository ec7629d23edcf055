//! `staticstored simulate`: a Weixin platform on loopback, for whoever wants to try their own feeding code.

mod push;

use anyhow::Context as _;

use super::SimulateOptions;
use super::session::Session;
use crate::simulator::{Endpoint, Fault, Opening, Options, Simulator};

pub(super) async fn run(session: &mut Session, options: &SimulateOptions) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.listen.ip().is_loopback(),
        "{} is no loopback address: the simulator knows no secrets to keep, and nobody else is to find it",
        options.listen
    );
    let mut settings = Options {
        listen: options.listen,
        clock: session.clock.clone(),
        seed: options.seed,
        opening: Opening::online_after(options.opening),
        token_lifetime: options.token_lifetime,
        faults_by_suffix: true,
        detailed_ledger: false,
        ..Options::default()
    };
    let about_pushes = push::set_up(&mut settings, options)?;
    let (appid, appsecret) = (settings.appid.clone(), settings.appsecret.clone());
    let simulator = Simulator::start(settings)
        .await
        .with_context(|| format!("{} cannot be listened on", options.listen))?;
    for fault in random(options.faults) {
        simulator.fault(fault);
    }
    let greeting = [
        format!(
            "A simulated Weixin listens on {} until Ctrl-C. To use it:",
            simulator.url()
        ),
        format!("  api.base_url    {}", simulator.url()),
        format!("  component.appid {appid}"),
        format!("  the appsecret   {appsecret}"),
        format!("  a ticket        {}", simulator.ticket()),
    ];
    for line in greeting.into_iter().chain(about_pushes) {
        session.screen.line(line)?;
    }
    session.screen.line(
        "An env whose name ends in -- and a fault meets that fault: x--cut-after-effect, x--not-opened, x--busy ...",
    )?;
    session.screen.flush()?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended?,
        told = push::tell(session, &simulator) => told?,
    }
    let calls = |endpoint| simulator.calls(endpoint);
    session.screen.line(format_args!(
        "{} creates ({} needless), {} describes, {} tokens",
        calls(Endpoint::Create),
        simulator.needless_creates(),
        calls(Endpoint::Describe),
        simulator.exchanges(),
    ))?;
    simulator.stop().await;
    Ok(())
}

/// Faults of the kinds that pass, which share the rate.
fn random(rate: f64) -> Vec<Fault> {
    let kinds: [fn(Fault) -> Fault; 5] = [
        |fault| fault.errcode(-1, "system error"),
        |fault| fault.errcode(-1, "system error").after_effect(),
        Fault::cut,
        |fault| fault.cut().after_effect(),
        |fault| fault.http(502),
    ];
    let share = rate / kinds.len() as f64;
    let on = |endpoint| {
        kinds
            .iter()
            .map(move |kind| kind(Fault::on(endpoint).probability(share)))
    };
    if rate > 0.0 {
        on(Endpoint::Create).chain(on(Endpoint::Describe)).collect()
    } else {
        Vec::new()
    }
}
