//! Many small files: what counts is how few syncs they need.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use odi_store::{Store, StoreOptions};

use super::counting_disk::CountingDisk;
use super::kill::content;
use super::{Work, ingest, report};

/// What a sync takes on a disk that means it.
const SLOW_SYNC: Duration = Duration::from_millis(5);
/// Files in one folder.
const PER_FOLDER: u32 = 1000;
/// Waiting blob by blob is slow on purpose; so many will do.
const ONE_BY_ONE: u64 = 2000;

pub(super) fn run(work: &Work, count: u32) -> Result<()> {
    let source = work.folder("small")?;
    let mut files = Vec::new();
    for number in 0..count {
        let folder = source.join((number / PER_FOLDER).to_string());
        if number % PER_FOLDER == 0 {
            std::fs::create_dir(&folder)?;
        }
        let path = folder.join(number.to_string());
        // 1 to 16 KiB.
        let size = 1024 + usize::try_from(u64::from(number).wrapping_mul(0x9E37_79B9) % (15 << 10))?;
        std::fs::write(&path, content(1 << 40 | u64::from(number), size))?;
        files.push(path);
    }
    for (name, sync_takes) in [("small files", Duration::ZERO), ("small files, syncs of 5 ms", SLOW_SYNC)] {
        let disk = CountingDisk::new(sync_takes);
        let cost = ingest::on_disk(Arc::new(disk.clone()), &work.folder("small-store")?, &files)?;
        let rate = f64::from(count) / cost.wall.as_secs_f64() / 1e3;
        let syncs = disk.syncs();
        let figure = format!("{rate:.0} k/s, {syncs} syncs, {} writes, {cost}", disk.writes());
        report(name, &figure, ">= 20 k/s");
    }
    one_by_one(work)?;
    work.folder("small")?;
    work.folder("small-store")?;
    Ok(())
}

/// The other end: each blob acknowledged before the next is brought.
fn one_by_one(work: &Work) -> Result<()> {
    let disk = CountingDisk::new(Duration::ZERO);
    let store = Store::open(Arc::new(disk.clone()), &work.folder("small-store")?, StoreOptions::default())?;
    let before = disk.syncs();
    let start = std::time::Instant::now();
    for number in 0..ONE_BY_ONE {
        let bytes = content(number, 4096);
        store.ingest(&odi_manifest::BlobId::of(&bytes), &bytes)?;
    }
    let each = start.elapsed() / u32::try_from(ONE_BY_ONE)?;
    let syncs = (disk.syncs() - before) as f64 / ONE_BY_ONE as f64;
    report("one by one, each acknowledged", &format!("{each:.0?} and {syncs:.1} syncs a blob"), "");
    Ok(())
}
