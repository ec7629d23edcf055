//! A power cut: what was written and never synced is lost, wholly or in part, in any order.
//!
//! A drain is recorded call by call. Then the disk is put together as a cut between any two of these calls may have left it, and
//! what the daemon would find there is held against what had happened outside by then.

mod trace;

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::{Connection as _, Row as _};
use staticstored::simulator::Endpoint;
use staticstored::store::{self, Access};

use super::{Station, until};
use crate::programs::{may_trace, there};
use trace::{Deed, Event, Which};

const ENVS: usize = 150;
/// How many cuts are tried.
const CUTS: usize = 100;
const SEED: u64 = 20_261_124;
/// What a disk writes wholly or not at all.
const SECTOR: usize = 512;

/// A file: what is on the disk for certain, and what is on its way there.
#[derive(Clone, Default)]
struct File<'a> {
    durable: Vec<u8>,
    pending: Vec<&'a Deed>,
}

impl<'a> File<'a> {
    fn meet(&mut self, deed: &'a Deed) {
        match deed {
            Deed::Sync => {
                let pending = std::mem::take(&mut self.pending);
                pending
                    .into_iter()
                    .for_each(|deed| apply(&mut self.durable, deed));
            }
            // It is made durable before anything that relies on it.
            Deed::Remove => *self = Self::default(),
            Deed::Write { .. } | Deed::Truncate(_) => self.pending.push(deed),
        }
    }

    /// What may be found after a cut: of what is on its way nothing, all, or some of it, and of one write a part.
    fn after_a_cut(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut found = self.durable.clone();
        let share = [0.0, 0.5, 1.0][random.usize(..3)];
        let arrived = self.pending.iter().filter(|_| random.f64() < share);
        let arrived: Vec<_> = arrived.collect();
        let torn = random.usize(..=arrived.len());
        for (number, deed) in arrived.into_iter().enumerate() {
            match deed {
                Deed::Write { offset, data } if number == torn => {
                    let sectors = random.usize(..=data.len() / SECTOR);
                    write(&mut found, *offset, &data[..data.len().min(sectors * SECTOR)]);
                }
                deed => apply(&mut found, deed),
            }
        }
        found
    }
}

fn apply(content: &mut Vec<u8>, deed: &Deed) {
    match deed {
        Deed::Write { offset, data } => write(content, *offset, data),
        Deed::Truncate(length) => content.resize(*length, 0),
        Deed::Remove | Deed::Sync => {}
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    content.resize(content.len().max(end), 0);
    content[offset..end].copy_from_slice(data);
}

/// What is known of an environment: whether it is final, and which way; whether a create was sent.
type Known = BTreeMap<String, (Option<String>, bool)>;

/// What a daemon finds in these two files.
async fn found(directory: &Path, database: &[u8], wal: &[u8]) -> Known {
    let path = directory.join("queue.db");
    for (companion, content) in [("queue.db", database), ("queue.db-wal", wal)] {
        std::fs::write(directory.join(companion), content).unwrap();
    }
    let _ = std::fs::remove_file(directory.join("queue.db-shm"));
    let mut connection = store::connect(&path, Access::Write).await.unwrap();
    let check: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(check, "ok");
    let rows = "SELECT env, CASE WHEN finished_at IS NOT NULL THEN state END, create_sent,
                       finished_at IS NOT NULL OR EXISTS (SELECT 1 FROM queue WHERE queue.env = status.env)
                  FROM status";
    let rows = sqlx::query(rows).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let known = rows.iter().map(|row| {
        assert!(
            row.get::<bool, _>(3),
            "{} is owed and not in the queue",
            row.get::<String, _>(0)
        );
        (row.get(0), (row.get(1), row.get(2)))
    });
    known.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_what_was_final_is_final_and_what_was_created_is_looked_at_first() {
    if !there("strace") || !may_trace() {
        return;
    }
    let mut station = Station::new().await;
    station.insert_many(ENVS).await;
    let before = std::fs::read(station.world.database()).unwrap();
    let recording = station.outside.path().join("trace").display().to_string();
    station.under = trace::RECORD
        .iter()
        .map(ToString::to_string)
        .chain([recording.clone()])
        .collect();
    for name in ["queue.db", "queue.db-wal"] {
        station
            .under
            .extend(["-P".to_owned(), station.path(name).display().to_string()]);
    }
    station.start();
    let online = "SELECT count(*) FROM status WHERE state = 'online'";
    station.world.wait_for(online, &[&ENVS.to_string()]).await;
    station.stop().await;
    until(|| !trace::is_written(&recording)).await;
    let recorded = std::fs::read_to_string(recording).unwrap();
    let events = trace::read(&recorded);
    let created: Vec<(f64, String)> = station
        .world
        .simulator
        .ledger()
        .into_iter()
        .filter(|entry| entry.endpoint == Endpoint::Create && entry.took_effect)
        .map(|entry| (entry.at.timestamp_micros() as f64 / 1e6, entry.env.unwrap()))
        .collect();
    assert_eq!(created.len(), ENVS);

    let mut random = fastrand::Rng::with_seed(SEED);
    let mut cuts: Vec<usize> = (0..CUTS).map(|_| random.usize(..events.len())).collect();
    cuts.sort_unstable();
    let (mut database, mut wal) = (
        File {
            durable: before,
            pending: Vec::new(),
        },
        File::default(),
    );
    let directory = tempfile::tempdir().unwrap();
    let mut seen = (0, 0);
    for (number, event) in events.iter().enumerate() {
        for _ in cuts.iter().filter(|cut| **cut == number) {
            // All that was ever said to be on the disk, and so all that anybody can have been told.
            let told = found(directory.path(), &database.durable, &wal.durable).await;
            let after = found(
                directory.path(),
                &database.after_a_cut(&mut random),
                &wal.after_a_cut(&mut random),
            )
            .await;
            seen.0 += hold(&told, &after);
            seen.1 += looked_at_first(&created, event, &after);
        }
        let file = match event.which {
            Which::Database => &mut database,
            Which::Wal => &mut wal,
        };
        file.meet(&event.deed);
    }
    assert!(
        seen.0 > ENVS && seen.1 > ENVS,
        "the cuts met too little: {seen:?}"
    );
}

/// What was final stays so; returns how many were.
fn hold(told: &Known, after: &Known) -> usize {
    assert_eq!(after.len(), ENVS);
    let finals = told.iter().filter(|(_, (state, _))| state.is_some());
    finals
        .inspect(|(env, (state, _))| assert_eq!(after[*env].0, *state, "{env} was final"))
        .count()
}

/// Nothing that Weixin had created by then would be created again without a look; returns how many it had.
fn looked_at_first(created: &[(f64, String)], next: &Event, after: &Known) -> usize {
    let by_then = created.iter().filter(|(at, _)| *at < next.time);
    by_then
        .inspect(|(_, env)| assert!(after[env].1, "{env} was created, and that is forgotten"))
        .count()
}
