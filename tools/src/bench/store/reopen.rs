//! Opening a large store after `kill -9` in the midst of taking in more.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use odi_store::{RealDisk, Store, StoreOptions};

use super::kill::tiny;
use super::{Work, report};

pub(super) fn run(work: &Work, blobs: u64) -> Result<()> {
    let folder = work.folder("reopen")?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["bench", "store", "--kill-child"])
        .arg(&folder)
        .args(["--fill", &blobs.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("start the child that gets killed")?;
    let start = Instant::now();
    let said = BufReader::new(child.stdout.take().context("hear the child")?);
    let mut lines = said.lines();
    let filled = lines.find(|line| line.as_ref().is_ok_and(|line| line == "filled"));
    let took = start.elapsed();
    // Some of what comes now is written and not committed.
    let more = lines.next().is_some();
    child.kill()?;
    child.wait()?;
    ensure!(filled.is_some() && more, "the child ended by itself");
    let rate = blobs as f64 / took.as_secs_f64() / 1e3;
    report("tiny blobs in bulk", &format!("{blobs} in {:.2} s, {rate:.0} k/s", took.as_secs_f64()), "");
    let start = Instant::now();
    let store = Store::open(Arc::new(RealDisk), &folder, StoreOptions::default())?;
    let took = start.elapsed();
    let stats = store.stats()?;
    let target = if blobs >= 1_000_000 { "< 1 s" } else { "< 1 s at 1 M" };
    report("reopen after kill -9", &format!("{took:.1?} with {} blobs", stats.blobs), target);
    let row = stats.index_bytes as f64 / stats.blobs as f64;
    report("index", &format!("{:.0} MB, {row:.0} B a blob", stats.index_bytes as f64 / 1e6), "");
    look_ups(&store, blobs)?;
    drop(store);
    work.folder("reopen")?;
    Ok(())
}

fn look_ups(store: &Store, blobs: u64) -> Result<()> {
    let count = 100_000;
    let wanted: Vec<_> =
        (0..count).map(|turn: u64| tiny(turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) % blobs)).collect();
    for name in ["look-ups, cold", "look-ups, hot"] {
        let start = Instant::now();
        let found = wanted.iter().filter(|(blob, _)| store.contains(blob)).count();
        let rate = count as f64 / start.elapsed().as_secs_f64() / 1e3;
        ensure!(found as u64 == count, "{} of {count} acknowledged blobs are lost", count - found as u64);
        report(name, &format!("{rate:.0} k/s"), "");
    }
    Ok(())
}
