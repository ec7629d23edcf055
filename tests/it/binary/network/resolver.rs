//! A name server with one name.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What is said of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Its address.
    Address,
    /// That there is no such name.
    NoSuchName,
    /// That this cannot be found out just now.
    Failure,
    /// Nothing.
    Nothing,
}

/// The server, until it is dropped.
pub(super) struct Resolver {
    says: Arc<Mutex<(Says, u64)>>,
    task: JoinHandle<()>,
}

impl Resolver {
    /// Listens on an address, where names are asked for, and says that it is the name's.
    pub(super) async fn start(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 53)).await.unwrap();
        let says = Arc::new(Mutex::new((Says::Address, 0)));
        let state = says.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let says = {
                    let mut state = state.lock().unwrap();
                    state.1 += 1;
                    state.0
                };
                if let Some(answer) = answer(&buffer[..length], says, address) {
                    let _ = socket.send_to(&answer, peer).await;
                }
            }
        });
        Self { says, task }
    }

    /// Says this from now on; nobody has asked since.
    pub(super) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = (says, 0);
    }

    /// How often it was asked since it says what it says.
    pub(super) fn asked(&self) -> u64 {
        self.says.lock().unwrap().1
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer to a question (RFC 1035, 4.1), whatever the name in it.
fn answer(question: &[u8], says: Says, address: Ipv4Addr) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 2] = [0, 1];
    // The name ends with an empty label; its type and its class follow. What comes behind them is not ours.
    let name = question.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let kind = HEADER + name + 1;
    let asked = question.get(..kind + 4)?;
    let is_address = says == Says::Address && asked[kind..kind + 2] == A;
    let code = match says {
        Says::Address => 0,
        Says::NoSuchName => 3,
        Says::Failure => 2,
        Says::Nothing => return None,
    };
    let mut answer = asked.to_vec();
    // A response, recursion desired and available; one question; none or one answer; nothing more.
    answer[2..HEADER].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        // The name of the question, as an address that is good for no time at all.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
