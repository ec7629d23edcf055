//! No test of the program may end with a secret where none belongs, whatever the test was about.

use std::path::Path;

use super::Station;

/// A piece of a secret that is as bad as the whole.
const PIECE: usize = 20;
/// Where a secret may lie in a test's directory: the files that the daemon is told of, and its own cache.
const FILES: [&str; 4] = [
    "appsecret",
    "bearer",
    "callback-token_file",
    "callback-aes_key_file",
];

/// The pieces of a secret, from its start to its end.
fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    let size = PIECE.min(secret.len());
    let last = secret.len() - size;
    (0..last)
        .step_by(PIECE / 2)
        .chain([last])
        .map(move |at| &secret[at..at + size])
}

/// Where a text holds a piece of a secret, with what is around it, for whoever must mend it.
fn leak(text: &str, secret: &str) -> Option<String> {
    let at = pieces(secret).find_map(|piece| text.find(piece))?;
    let around = text.get(at.saturating_sub(300)..(at + 100).min(text.len()));
    Some(around.unwrap_or("(among bytes)").to_owned())
}

#[track_caller]
pub(super) fn clean(place: &str, bytes: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets {
        if let Some(around) = leak(&text, secret) {
            panic!("{place} holds a piece of {secret}: {around}");
        }
    }
}

/// Looks through all that the daemon has written: its log, and its database, which may hold the ticket and nothing else.
pub(super) fn look(station: &Station) {
    let simulator = &station.world.simulator;
    let mut secrets = simulator.tokens();
    let files = FILES
        .iter()
        .filter_map(|name| std::fs::read_to_string(station.path(name)).ok());
    // (What is that short is no secret, but a test of one that is refused.)
    secrets.extend(
        files
            .map(|text| text.trim().to_owned())
            .filter(|text| text.len() > PIECE / 2),
    );
    let written = |file: &Path| std::fs::read(file).unwrap_or_default();
    for name in ["queue.db", "queue.db-wal"] {
        clean(name, &written(&station.path(name)), &secrets);
    }
    secrets.extend(simulator.tickets());
    clean("the log", &written(&station.log_file()), &secrets);
}
