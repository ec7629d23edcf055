//! A network between the daemon and Weixin: a cable that can be pulled, and names that can stop to be known.
//!
//! The daemon is in a network of its own, at the other end of a virtual cable, with files of its own in place of
//! /etc/hosts and /etc/resolv.conf. Weixin's end, with TLS by nginx, is here.

mod cut;
mod names;
mod resolver;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use staticstored::simulator::Endpoint;
use tempfile::TempDir;

use super::proxy::{Proxy, certificate, https};
use super::{Station, until};
use crate::programs::works;
use resolver::Resolver;

/// Weixin's name there.
const NAME: &str = "weixin.test";

/// How the daemon is put there: a shell that mounts what it looks names up by, and becomes what follows. (`ip netns exec` gives
/// it mounts of its own.)
const ENTER: &str = "for file in hosts nsswitch.conf resolv.conf; do \
     if [ -e /etc/$file ]; then mount --bind \"$1/$file\" /etc/$file || exit; fi; done; shift; exec \"$@\"";

/// Of our end of each cable.
const MAC: &str = "02:00:00:00:00:01";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A cable, gone with the network at its other end when it is dropped.
struct Cable {
    /// The network's name, and that of the end here.
    name: String,
    /// Our end's address.
    address: Ipv4Addr,
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Cable {
    /// `None`, and a word why, where this user may not lay one; in CI, everybody must.
    fn lay() -> Option<Self> {
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("sst{process}x{number}");
        if !works("ip", &["netns", "add", &name]) {
            return None;
        }
        // Addresses for tests of networks (RFC 2544): four for each cable.
        let [.., high, low] = (process.wrapping_add(number) << 2).to_be_bytes();
        let address = Ipv4Addr::new(198, 18, high, low + 1);
        let other = Ipv4Addr::new(198, 18, high, low + 2);
        let cable = Self { name, address };
        let name = &cable.name;
        ip(&format!(
            "link add {name} address {MAC} type veth peer name weixin netns {name}"
        ));
        ip(&format!("addr add {address}/30 dev {name}"));
        ip(&format!("-n {name} addr add {other}/30 dev weixin"));
        ip(&format!("link set {name} up"));
        ip(&format!("-n {name} link set weixin up"));
        ip(&format!("-n {name} link set lo up"));
        // So that nobody there notices when nobody answers.
        ip(&format!(
            "-n {name} neigh replace {address} lladdr {MAC} nud permanent dev weixin"
        ));
        Some(cable)
    }

    /// Nothing that is sent arrives from now on, and nobody is told.
    fn pull(&self) {
        ip(&format!("link set {} down", self.name));
    }

    fn plug_in(&self) {
        ip(&format!("link set {} up", self.name));
    }

    /// When the kernel there next tries to send what is left of a connection that was closed; `None`: nothing is left.
    fn next_try(&self) -> Option<Duration> {
        let mut ss = Command::new("ip");
        ss.args(["netns", "exec", &self.name, "ss", "-Htno", "state", "fin-wait-1"]);
        let output = ss.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, timer) = text.lines().next()?.split_once("timer:(on,").unwrap_or_default();
        Some(wait(timer))
    }
}

/// Reads `564ms,3)`, `1.564ms,3)` (of which the dot parts thousands), `12sec,6)`, and nothing where it is due.
fn wait(timer: &str) -> Duration {
    let digits: String = timer
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .filter(char::is_ascii_digit)
        .collect();
    let number = digits.parse().unwrap_or(0);
    if timer[..timer.find(',').unwrap_or(0)].ends_with("ms") {
        Duration::from_millis(number)
    } else {
        Duration::from_secs(number)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A daemon to be started at the other end of a cable, and Weixin at this one.
struct Far {
    station: Station,
    cable: Cable,
    resolver: Resolver,
    _weixin: Proxy,
    _certificate: TempDir,
}

impl Far {
    /// Each connection is good for so many calls. `None`, and a word why, where that cannot be had.
    async fn new(calls: u32) -> Option<Self> {
        let there = works("nginx", &["-v"]) && works("openssl", &["version"]);
        let cable = if there { Cable::lay()? } else { return None };
        let mut station = Station::new().await;
        let certificate = certificate(&format!("DNS:{NAME}"));
        let free = TcpListener::bind((cable.address, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let weixin = https::weixin(&station, certificate.path(), address, calls).await;
        let resolver = Resolver::start(cable.address).await;
        station.settle_at(&cable, certificate.path(), address);
        Some(Self {
            station,
            cable,
            resolver,
            _weixin: weixin,
            _certificate: certificate,
        })
    }

    /// Waits until all is online, and compares the books: each was created once, and nothing is owed any more.
    async fn all_online(&mut self, count: usize) {
        let station = &mut self.station;
        let states = "SELECT state, count(*) FROM status GROUP BY state";
        station
            .world
            .wait_for(states, &[&format!("online|{count}")])
            .await;
        station.stop().await;
        until(|| self.cable.next_try().is_none()).await;
        assert_eq!(station.world.row("SELECT count(*) FROM queue").await, "0");
        let simulator = &station.world.simulator;
        let twice: Vec<_> = simulator
            .ledger()
            .into_iter()
            .filter(|entry| entry.endpoint == Endpoint::Create)
            .filter(|entry| simulator.effective_creates(entry.env.as_deref().unwrap()) != 1)
            .collect();
        assert!(twice.is_empty(), "not created exactly once: {twice:#?}");
        assert_eq!(simulator.needless_creates(), 0);
        assert_eq!(station.world.row("PRAGMA integrity_check").await, "ok");
    }
}

impl Station {
    /// Lets daemons started from now on live at the other end of a cable, where Weixin's certificate is trusted.
    fn settle_at(&mut self, cable: &Cable, certificate: &std::path::Path, weixin: SocketAddr) {
        let etc = self.path("etc");
        std::fs::create_dir(&etc).unwrap();
        // Where nobody answers, the daemon gives the call up well before the resolver says that it found out nothing.
        let resolver = format!("nameserver {}\noptions timeout:4 attempts:1\n", cable.address);
        for (file, content) in [
            ("hosts", "127.0.0.1 localhost\n"),
            ("nsswitch.conf", "hosts: files dns\n"),
            ("resolv.conf", &resolver),
        ] {
            std::fs::write(etc.join(file), content).unwrap();
        }
        let etc = etc.display().to_string();
        self.under = ["ip", "netns", "exec", &cable.name, "sh", "-c", ENTER, "sh", &etc]
            .map(str::to_owned)
            .to_vec();
        let trusted = certificate.join("cert.pem").display().to_string();
        self.variables.push(("SSL_CERT_FILE", trusted));
        self.variables.push(("PATH", std::env::var("PATH").unwrap()));
        let url = format!("https://{NAME}:{}", weixin.port());
        self.world.set("api.base_url", &url);
    }
}
