//! Behind the reverse proxies that `deploy/` shows: the files as they are shipped, the real programs, TLS on loopback.

pub(super) mod https;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use staticstored::simulator::push::{Event, Letter};
use tempfile::TempDir;

use super::{Station, told, until};
use crate::programs;
use crate::world::{PUSH_PATH as PATH, free_port, seal};

const NGINX: &str = include_str!("../../../deploy/nginx.conf");
const CADDY: &str = include_str!("../../../deploy/Caddyfile");

/// A reverse proxy with a certificate of its own.
pub(super) struct Proxy {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shipped file with other values in the places that its reader is told to change.
fn adapted(shipped: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(shipped.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

impl Proxy {
    /// nginx with the shipped server block, before a daemon.
    async fn nginx(daemon: u16) -> Self {
        let (directory, port) = (certificate("IP:127.0.0.1"), free_port());
        let here = directory.path().display().to_string();
        let site = adapted(
            NGINX,
            &[
                ("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;")),
                (
                    "/etc/ssl/push.example.com/fullchain.pem",
                    &format!("{here}/cert.pem"),
                ),
                ("/etc/ssl/push.example.com/key.pem", &format!("{here}/key.pem")),
                ("http://127.0.0.1:8019", &format!("http://127.0.0.1:{daemon}")),
            ],
        );
        std::fs::write(directory.path().join("site.conf"), site).unwrap();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {here}/{name}; "))
            .concat();
        let main = format!(
            "daemon off; master_process off; pid {here}/pid; events {{}} http {{ {paths} access_log off; include {here}/site.conf; }}"
        );
        std::fs::write(directory.path().join("nginx.conf"), main).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.args(["-e", &format!("{here}/log"), "-c", &format!("{here}/nginx.conf")]);
        Self::start(nginx, directory, (Ipv4Addr::LOCALHOST, port)).await
    }

    /// Caddy with the shipped site, before a daemon.
    async fn caddy(daemon: u16) -> Self {
        let (directory, port) = (certificate("IP:127.0.0.1"), free_port());
        let here = directory.path().display().to_string();
        let site = adapted(
            CADDY,
            &[
                ("{\n\tservers", "{\n\tadmin off\n\tauto_https off\n\tservers"),
                (
                    "push.example.com {",
                    &format!("https://127.0.0.1:{port} {{\n\ttls {here}/cert.pem {here}/key.pem"),
                ),
                (
                    "reverse_proxy 127.0.0.1:8019",
                    &format!("reverse_proxy 127.0.0.1:{daemon}"),
                ),
            ],
        );
        std::fs::write(directory.path().join("Caddyfile"), site).unwrap();
        let mut caddy = Command::new("caddy");
        caddy.args(["run", "--adapter", "caddyfile", "--config"]);
        caddy.arg(directory.path().join("Caddyfile"));
        // What it keeps, it keeps there.
        caddy
            .env("HOME", &here)
            .env("XDG_DATA_HOME", &here)
            .env("XDG_CONFIG_HOME", &here);
        Self::start(caddy, directory, (Ipv4Addr::LOCALHOST, port)).await
    }

    async fn start(mut program: Command, directory: TempDir, address: impl Into<SocketAddr>) -> Self {
        let log = std::fs::File::create(directory.path().join("output")).unwrap();
        let child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut proxy = Self {
            child: child.spawn().unwrap(),
            directory,
            address: address.into(),
        };
        until(|| {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", proxy.log());
            TcpStream::connect(proxy.address).is_ok()
        })
        .await;
        proxy
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("output")).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn certificate(&self) -> String {
        self.directory.path().join("cert.pem").display().to_string()
    }

    /// What is answered to a body: the status, then a space, then the text.
    async fn post(&self, path: &str, body: &str) -> String {
        self.curl(&["--data-binary", "@-"], path, body).await
    }

    async fn curl(&self, arguments: &[&str], path: &str, body: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http1.1", "--noproxy", "*"])
            .args(["--write-out", "\n%{http_code}", "--cacert", &self.certificate()])
            .args(["--header", "Expect:", "--header", "X-Forwarded-For: 192.0.2.9"])
            .args(arguments)
            .arg(self.url(path));
        let output = told(curl, body).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let (text, status) = text.rsplit_once('\n').unwrap();
        // Where a proxy hangs up on a body that it does not want, curl may see no answer: then its status is 000.
        format!("{status} {text}{}", String::from_utf8_lossy(&output.stderr))
    }

    async fn deliver(&self, letter: &Letter) -> String {
        self.post(&format!("{PATH}?{}", letter.query()), letter.body())
            .await
    }
}

/// A directory with a certificate for this name, which nobody trusts who is not told to.
pub(super) fn certificate(name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", &format!("subjectAltName={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("cert.pem"));
    let output = openssl.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory
}

/// A daemon without a ticket that waits for a push.
async fn station() -> (Station, u16) {
    let mut station = Station::new().await;
    let port = station.receives();
    station.world.execute("DELETE FROM ticket").await;
    // Only what comes through the proxy counts.
    station
        .world
        .simulator
        .change(|options| options.start_push_makes_ticket = false);
    station.started().await;
    (station, port)
}

/// `staticstored push`, which trusts what the file holds, or what this machine trusts.
async fn push(station: &Station, url: &str, trusted: Option<&str>) -> (Option<i32>, String) {
    let mut command = station.command(&["push", url]);
    command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
    let output = told(command, "").await;
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

/// All that a proxy must do: pass on what is genuine, and show nothing else of the daemon.
async fn passes_on_pushes_alone(proxy: &Proxy, station: &Station, too_large: &[&str]) {
    let world = &station.world;
    let now = world.clock.now();
    world.insert("waits-for-a-push").await;

    let (code, text) = push(station, &proxy.url(PATH), None).await;
    assert!(
        code == Some(1) && text.contains("no TLS that can be trusted"),
        "{code:?} {text}"
    );
    let certificate = proxy.certificate();
    let (code, text) = push(station, &proxy.url(PATH), Some(&certificate)).await;
    assert!(
        code == Some(0) && text.contains("success") && text.contains("refused, HTTP 4"),
        "{code:?} {text}"
    );
    let (code, text) = push(station, &proxy.url("/elsewhere"), Some(&certificate)).await;
    assert!(
        code == Some(1) && text.contains("HTTP 404") && text.contains("they differ"),
        "{code:?} {text}"
    );

    let heard = station.log().matches("staticstored_test").count();
    assert_eq!(heard, 1, "{}", station.log());
    let genuine = seal().letter(&Event::other("not_to_arrive", now), now);
    for path in [
        "/",
        "/weixin",
        "/weixin/callback/",
        "/weixin/callbacks",
        "/status",
    ] {
        let path = format!("{path}?{}", genuine.query());
        let answer = proxy.post(&path, genuine.body()).await;
        assert!(answer.starts_with("404 "), "{path}: {answer}");
    }
    let got = proxy.curl(&["--get"], PATH, "").await;
    assert!(["403", "404", "405"].contains(&&got[..3]), "{got}");
    let large = proxy.post(PATH, &"x".repeat(64 * 1024 + 1)).await;
    assert!(too_large.contains(&&large[..3]), "{large}");
    let refused = proxy.deliver(&genuine.clone().forged()).await;
    assert!(refused.starts_with('4'), "{refused}");
    // Who it was, by the proxy's word, not by that of the sender.
    station.wait_for_log("for 127.0.0.1").await;
    assert!(!station.log().contains("192.0.2.9"), "{}", station.log());
    assert!(!station.log().contains("not_to_arrive"), "{}", station.log());

    let ticket = world.simulator.new_ticket();
    let letter = seal().letter(&Event::ticket(&ticket, now), now);
    // Stored before it is answered; a disk that takes five seconds for it means 503, and Weixin tries again.
    let mut answer = proxy.deliver(&letter).await;
    while answer.starts_with("503") {
        answer = proxy.deliver(&letter).await;
    }
    assert_eq!(answer, "200 success");
    world.wait_for_state("waits-for-a-push", "online").await;
}

#[tokio::test]
async fn nginx_as_it_is_shipped_passes_on_pushes_and_nothing_else() {
    if !programs::works("nginx", &["-v"])
        || !programs::there("curl")
        || !programs::works("openssl", &["version"])
    {
        return;
    }
    let (mut station, daemon) = station().await;
    let proxy = Proxy::nginx(daemon).await;
    passes_on_pushes_alone(&proxy, &station, &["413", "000"]).await;
    station.stop().await;
    let (code, text) = push(&station, &proxy.url(PATH), Some(&proxy.certificate())).await;
    assert!(
        code == Some(1) && text.contains("HTTP 502") && text.contains("does not reach the daemon"),
        "{code:?} {text}"
    );
}

#[tokio::test]
async fn caddy_as_it_is_shipped_passes_on_pushes_and_nothing_else() {
    if !programs::may_be_missing("caddy", &["version"])
        || !programs::there("curl")
        || !programs::works("openssl", &["version"])
    {
        return;
    }
    let (mut station, daemon) = station().await;
    let proxy = Proxy::caddy(daemon).await;
    passes_on_pushes_alone(&proxy, &station, &["413", "502", "000"]).await;
    station.stop().await;
    let (code, text) = push(&station, &proxy.url(PATH), Some(&proxy.certificate())).await;
    assert!(code == Some(1) && text.contains("HTTP 502"), "{code:?} {text}");
}
