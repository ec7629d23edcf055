//! What strace saw of the calls on two files becomes a list of what happened to them.

use std::collections::HashMap;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Database,
    Wal,
}

#[derive(Debug)]
pub(super) enum Deed {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
    Remove,
    Sync,
}

/// One deed, and when it was done, in seconds since 1970.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) time: f64,
    pub(super) which: Which,
    pub(super) deed: Deed,
}

/// The arguments of strace that record what [`read`] reads, for files whose paths follow as `-P PATH`.
pub(super) const RECORD: [&str; 13] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "-ttt",
    "-T",
    "-xx",
    "-y",
    "-s",
    "1048576",
    "-e",
    "trace=pwrite64,fdatasync,fsync,ftruncate,unlink",
    "-o",
];

/// Whether strace is still at it: it outlives what it traces by a moment, in which the last lines come.
pub(super) fn is_written(recording: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|argument| argument == recording.as_bytes())
    })
}

/// Reads a whole trace; calls that failed did nothing.
pub(super) fn read(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    // A call of a thread that another thread's line, or the end of the process, interrupted.
    let mut begun: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let (time, rest) = rest.trim_start().split_once(' ').unwrap();
        let time: f64 = time.parse().unwrap();
        let unfinished = [" <unfinished ...>", " <detached ...>"];
        if let Some(call) = unfinished.iter().find_map(|end| rest.strip_suffix(end)) {
            begun.insert(pid, call);
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            let call = begun.remove(pid).expect("a call that was begun");
            events.extend(event(time, call, end));
        } else if rest.contains('(') {
            let (call, end) = rest.rsplit_once(')').unwrap();
            events.extend(event(time + duration(end), call, end));
        }
    }
    events
}

fn duration(end: &str) -> f64 {
    let seconds = end.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>'));
    seconds.map_or(0.0, |seconds| seconds.parse().unwrap())
}

fn event(time: f64, call: &str, end: &str) -> Option<Event> {
    if end.contains("= -1") {
        return None;
    }
    let (name, arguments) = call.split_once('(').unwrap();
    let deed = match name {
        "fdatasync" | "fsync" => Deed::Sync,
        "unlink" => Deed::Remove,
        "ftruncate" => Deed::Truncate(last(arguments)),
        "pwrite64" => Deed::Write {
            offset: last(arguments),
            data: bytes(arguments.split('"').nth(1).unwrap()),
        },
        _ => panic!("{call}"),
    };
    let file = arguments.split(['<', '"']).nth(1).unwrap();
    let path = bytes(file.split('>').next().unwrap());
    let which = if path.ends_with(b"-wal") {
        Which::Wal
    } else {
        Which::Database
    };
    Some(Event { time, which, deed })
}

fn last(arguments: &str) -> usize {
    arguments.rsplit(", ").next().unwrap().parse().unwrap()
}

/// Of `\x71\x75`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}
