//! `odi store check DIR [--rebuild]`: reads every byte of a store that nobody has open, and says what is wrong with it;
//! with `--rebuild`, makes a new index from the packs first.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use odi_store::{RealDisk, Store, StoreOptions};

/// Bytes checked between two lines of progress.
const STEP_BYTES: u64 = 4 << 30;

/// Checks, and prints what it finds.
///
/// # Errors
/// The store cannot be opened, or something in it is damaged.
#[expect(clippy::print_stdout, reason = "it answers on the terminal")]
pub fn run(dir: &Path, rebuild: bool) -> Result<()> {
    if !dir.join("store.odi").is_file() {
        bail!("{} is no store: it has no store.odi", dir.display());
    }
    let options = StoreOptions::default();
    if rebuild {
        let rebuilt = Store::rebuild(Arc::new(RealDisk), dir, &options).context("rebuild the index")?;
        let (packs, records, gigabytes) = (rebuilt.packs, rebuilt.records, rebuilt.bytes as f64 / 1e9);
        println!("index rebuilt from {packs} packs, {records} records, {gigabytes:.2} GB");
        if rebuilt.unreadable > 0 {
            println!("{} stretches of packs hold no readable record", rebuilt.unreadable);
        }
    }
    let store = Store::open(Arc::new(RealDisk), dir, options).context("open the store")?;
    let stats = store.stats()?;
    println!(
        "{} blobs, {} in part, {} tree nodes, {} purged; {:.2} GB in {} packs, {:.2} GB of it needed",
        stats.blobs,
        stats.partial,
        stats.nodes,
        stats.dead,
        stats.pack_bytes as f64 / 1e9,
        stats.packs,
        stats.live_bytes as f64 / 1e9
    );
    let bad = scrub(&store)?;
    for event in store.take_events() {
        println!("damaged and dropped: {event:?}");
    }
    if bad > 0 {
        bail!("{bad} records were damaged; whoever fills this store will fetch them again");
    }
    println!("every record that is needed verifies");
    Ok(())
}

/// Checks all packs from the first to the last; returns how many records were damaged.
#[expect(clippy::print_stdout, reason = "progress on long work")]
fn scrub(store: &Store) -> Result<u64> {
    // To the end of whatever round a daemon had begun, then a whole one.
    let (mut bad, mut bytes) = (0, 0);
    for _ in 0..2 {
        loop {
            let report = store.scrub(STEP_BYTES).context("read the packs")?;
            bad += report.bad;
            bytes += report.bytes;
            if report.wrapped {
                break;
            }
            println!("{:.0} GB read", bytes as f64 / 1e9);
        }
    }
    Ok(bad)
}
