//! HTTP as it is on the wire, so that a test can send what no client library would.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::seal::Push;
use crate::world::within;

/// A connection.
pub async fn connect(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}

/// Sends bytes on a connection of their own, and reads to its end.
pub async fn told(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address).await;
    // An answer may come before all is sent, and the connection end with it.
    let _ = within(stream.write_all(bytes.as_ref())).await;
    to_the_end(&mut stream).await
}

/// What comes until the other side closes, however it does.
pub async fn to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

/// One answer with a body that ends so, on a connection that stays.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 1024];
        let length = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text
}

/// A request with a body, as a reverse proxy would pass it on.
pub fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A push as a request.
pub fn request(path: &str, push: &Push) -> String {
    post(&format!("{path}?{}", push.query), &push.body)
}

/// The status of an answer, and its body.
pub fn parts(answer: &str) -> (u16, &str) {
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}"));
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status.parse().unwrap(), body)
}
