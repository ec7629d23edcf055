//! Weixin behind TLS, with a certificate that is not to be trusted at first: nothing is said to whoever shows one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Proxy, certificate};
use crate::binary::{Station, until};
use crate::programs;
use crate::world::free_port;

/// Of each connection, where it does not matter.
const CALLS: u32 = 20;

/// nginx with this certificate before the simulator. A connection is closed after so many calls, as Weixin's are after some.
pub(in crate::binary) async fn weixin(
    station: &Station,
    certificate: &Path,
    address: SocketAddr,
    calls: u32,
) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().display();
    let (shown, platform) = (certificate.display(), station.world.simulator.url());
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name}; "))
        .concat();
    let main = format!(
        "daemon off; master_process off; pid {here}/pid; events {{}} http {{ {paths} access_log off; keepalive_requests {calls}; proxy_ignore_client_abort on; server {{ listen {address} ssl; \
         ssl_certificate {shown}/cert.pem; ssl_certificate_key {shown}/key.pem; location / {{ proxy_pass {platform}; }} }} }}"
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, main).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.args(["-e", "stderr", "-c"]).arg(file);
    Proxy::start(nginx, directory, address).await
}

/// The same certificate, but that it ended years ago.
fn expired() -> TempDir {
    let directory = certificate("IP:127.0.0.1");
    let script = "
        openssl req -new -key key.pem -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -out request.pem
        touch index; echo 01 > serial
        printf '%s\\n' '[ca]' default_ca=c '[c]' database=index serial=serial new_certs_dir=. policy=p copy_extensions=copy \
            default_md=sha256 '[p]' commonName=supplied > ca.conf
        openssl ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -in request.pem -out cert.pem \
            -startdate 20200101000000Z -enddate 20200201000000Z";
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_and_no_request_goes_to_whoever_cannot_show_weixins_certificate() {
    if !programs::works("nginx", &["-v"]) || !programs::works("openssl", &["version"]) {
        return;
    }
    let good = certificate("IP:127.0.0.1");
    let unknown = certificate("IP:127.0.0.1");
    for (bad, trusted, said) in [
        (expired(), true, "certificate expired"),
        (certificate("DNS:other.example"), true, "not valid for name"),
        (unknown, false, "invalid peer certificate: BadSignature"),
    ] {
        let mut station = Station::new().await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        station.world.set("api.base_url", &format!("https://{address}"));
        station.world.insert("a").await;
        let pem = |directory: &TempDir| std::fs::read_to_string(directory.path().join("cert.pem")).unwrap();
        let trust = if trusted {
            pem(&good) + &pem(&bad)
        } else {
            pem(&good)
        };
        let trust: PathBuf = station.write("trusted.pem", &trust);
        station
            .variables
            .push(("SSL_CERT_FILE", trust.display().to_string()));
        // What an operator sees.
        station.variables.push(("RUST_LOG", String::new()));
        let impostor = weixin(&station, bad.path(), address, CALLS).await;
        station.start();
        until(|| station.log().contains(said)).await;
        station
            .world
            .wait_for(&format!("SELECT reason LIKE '%{said}%' FROM service"), &["1"])
            .await;
        let lines = |log: &str| log.lines().filter(|line| line.contains(said)).count();
        let told = |log: &str| log.matches("no new token yet").count();
        let log = station.log();
        assert_eq!(lines(&log), told(&log), "one line each time: {log}");
        assert_eq!(station.world.simulator.ledger().len(), 0, "{said}");
        assert_eq!(station.world.status("state, attempts", "a").await, "pending|0");

        drop(impostor);
        let _genuine = weixin(&station, good.path(), address, CALLS).await;
        station.world.wait_for_state("a", "online").await;
        assert_eq!(station.world.simulator.exchanges(), 1, "{said}");
        station.stop().await;
    }
}
