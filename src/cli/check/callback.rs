//! The push receiver: its address, and what the push is sealed with.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Finding;
use crate::cli::secret;
use crate::config::Callback;

/// How long whoever listens there already may take to show who it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Ports below this are the system's: only some users may listen there.
const FIRST_OPEN_PORT: u16 = 1024;

/// A line for each thing; one that says so when it is off.
pub(super) async fn findings(config: Option<&Callback>) -> Vec<(&'static str, Finding)> {
    let Some(config) = config else {
        let off = "off, for callback.listen is not set";
        return vec![("push receiver", Ok(off.to_owned()))];
    };
    let mut findings = vec![
        ("push receiver", address(config).await),
        ("callback token", token(config)),
        ("EncodingAESKey", aes_key(config)),
    ];
    if config.previous_aes_key_file.is_some() {
        findings.push(("previous EncodingAESKey", previous_aes_key(config)));
    }
    findings
}

async fn address(config: &Callback) -> Finding {
    let (address, path) = (config.listen, &config.path);
    match TcpListener::bind(address).await {
        Ok(_) if address.port() < FIRST_OPEN_PORT && address.port() != 0 => Ok(format!(
            "http://{address}{path}, free; the shipped unit may not listen below {FIRST_OPEN_PORT}, though"
        )),
        Ok(_) => Ok(format!("http://{address}{path}, free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            anyhow::ensure!(
                is_a_receiver(address, path).await,
                "callback.listen: another program listens on {address}, or a daemon with another callback.path"
            );
            Ok(format!("http://{address}{path}, a daemon listens there"))
        }
        Err(error) => anyhow::bail!("callback.listen: {address} cannot be listened on: {error}"),
    }
}

/// Whether a receiver of pushes answers: it takes nothing but POST.
async fn is_a_receiver(address: SocketAddr, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(answer)) if answer == *b"HTTP/1.1 405")
}

fn token(config: &Callback) -> Finding {
    secret::callback_token(config)?;
    Ok(config.token_file()?.display().to_string())
}

fn aes_key(config: &Callback) -> Finding {
    let file = config.aes_key_file()?;
    secret::aes_key(file, "callback.aes_key_file")?;
    Ok(file.display().to_string())
}

fn previous_aes_key(config: &Callback) -> Finding {
    secret::previous_aes_key(config)?;
    let file = config.previous_aes_key_file.as_deref();
    Ok(file.map(|file| file.display().to_string()).unwrap_or_default())
}
