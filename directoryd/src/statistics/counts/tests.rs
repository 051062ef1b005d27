//! What is counted, for whom, and that neither a restart nor a disk that fails counts anything twice or never.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use odi_manifest::SigningKey;
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp(1_795_305_600);
const CATALOG: CatalogId = CatalogId::from_bytes([1; 32]);

fn relay(n: u8) -> PublicKey {
    SigningKey::from_seed(&[n; 32]).public_key()
}

fn download(caller: u32, path: &str) -> Download<'_> {
    Download {
        caller: Ipv4Addr::from(caller).into(),
        country: "NO".parse().ok(),
        catalog: CATALOG,
        path,
        blob: BlobId::of(path.as_bytes()),
        size: 100,
        how: How::Redirected,
        relay: Some(relay(1)),
    }
}

fn redirected(counts: &Counts, subject: &Subject) -> (u64, u64) {
    let tally = counts.row(subject).map(|row| row.redirected.counted()).unwrap_or_default();
    (tally.downloads, tally.bytes)
}

#[test]
fn a_download_counts_once_for_everything_it_is_of() {
    let mut counts = Counts::new([7; 32], START);
    for _ in 0..16 {
        counts.download(&download(1, "a"), START);
    }
    counts.download(&download(2, "a"), START);
    counts.download(&Download { country: None, relay: None, how: How::Origin, ..download(3, "b") }, START);
    for subject in [
        Subject::All,
        Subject::Catalog(CATALOG),
        Subject::Relay(relay(1)),
        Subject::Country("NO".parse().unwrap()),
    ] {
        assert_eq!(redirected(&counts, &subject), (2, 200), "{subject:?}");
    }
    assert_eq!(counts.row(&Subject::All).unwrap().origin.counted().downloads, 1);
    let heaviest: Vec<_> = counts.of_today(&CATALOG).unwrap().heaviest().collect();
    assert_eq!((&*heaviest[0].path, heaviest[0].count, heaviest.len()), ("a", 2.0, 2));
}

#[test]
fn a_relays_word_is_kept_apart() {
    let mut counts = Counts::new([7; 32], START);
    let said = |bodies, bytes| Sent { since: Timestamp(1), bodies, bytes };
    counts.hear(relay(1), CATALOG, said(0, 0), START);
    counts.hear(relay(1), CATALOG, said(12, 1 << 40), START.plus(Duration::from_secs(3600)));
    assert_eq!(redirected(&counts, &Subject::Relay(relay(1))), (0, 0));
    let confirmed = counts.row(&Subject::Relay(relay(1))).unwrap().confirmed;
    assert_eq!(confirmed.shown().map(|tally| tally.downloads), Some(12));
}

#[test]
fn a_day_ends_and_leaves_with_the_next_batch() {
    let mut counts = Counts::new([7; 32], START);
    counts.download(&download(1, "a"), START);
    let tomorrow = START.plus(Duration::from_secs(86_400));
    counts.download(&download(1, "a"), tomorrow);
    assert_eq!(redirected(&counts, &Subject::All), (1, 100), "of today");
    let batch = counts.take_batch(tomorrow);
    let days: BTreeSet<Day> = batch.rows.iter().map(|row| row.day).collect();
    assert_eq!(days, [Day::of(START), Day::of(tomorrow)].into());
    assert_eq!(batch.artifacts.len(), 2);
    assert_eq!(counts.take_batch(tomorrow), Batch::default());
    counts.download(&download(1, "a"), START);
    assert_eq!(redirected(&counts, &Subject::All).0, 2, "a clock set back counts for the later day");
}

#[test]
fn subjects_catalogs_and_what_waits_for_the_disk_are_bounded() {
    let mut counts = Counts::new([7; 32], START);
    for n in 0..u32::try_from(SUBJECTS_MAX).unwrap() + 100 {
        let mut id = [9; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        counts.download(&Download { catalog: CatalogId::from_bytes(id), ..download(n, "a") }, START);
    }
    assert_eq!((counts.rows.len(), counts.artifacts.len()), (SUBJECTS_MAX, CATALOGS_MAX));
    let all = redirected(&counts, &Subject::All).0;
    assert_eq!(all, SUBJECTS_MAX as u64 + 100, "of the others the sums are counted");
    for day in 1..9u32 {
        let now = START.plus(Duration::from_secs(86_400) * day);
        let batch = counts.take_batch(now);
        counts.put_back(batch);
        for n in 0..u32::try_from(SUBJECTS_MAX).unwrap() {
            let mut id = [9; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            counts.download(&Download { catalog: CatalogId::from_bytes(id), ..download(n, "a") }, now);
        }
        assert!(counts.finished.rows.len() <= UNWRITTEN_MAX);
    }
}

/// What a disk has after these batches.
#[derive(Clone, Default)]
struct Kept {
    rows: BTreeMap<(Day, Subject), Row>,
    artifacts: BTreeMap<(CatalogId, Day), KeptArtifacts>,
    heard: BTreeMap<(PublicKey, CatalogId), Heard>,
}

impl Kept {
    fn write(&mut self, batch: Batch) {
        self.rows.extend(batch.rows.into_iter().map(|row| ((row.day, row.subject), row.row)));
        self.artifacts.extend(batch.artifacts.into_iter().map(|kept| ((kept.catalog, kept.day), kept)));
        self.heard.extend(batch.heard.into_iter().map(|heard| ((heard.relay, heard.catalog), heard)));
    }

    fn read(&self) -> Batch {
        let rows =
            self.rows.iter().map(|((day, subject), row)| DayRow { day: *day, subject: *subject, row: *row });
        // By catalog the newest.
        let newest: BTreeMap<CatalogId, KeptArtifacts> =
            self.artifacts.values().map(|kept| (kept.catalog, kept.clone())).collect();
        Batch {
            rows: rows.collect(),
            artifacts: newest.into_values().collect(),
            heard: self.heard.values().copied().collect(),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Download { caller: u8, path: u8 },
    Hear { relay: u8, bodies: u64 },
    Pass(u64),
    Write { fails: bool },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..6, 0u8..4).prop_map(|(caller, path)| Step::Download { caller, path }),
        2 => (1u8..3, 0u64..50).prop_map(|(relay, bodies)| Step::Hear { relay, bodies }),
        2 => (0u64..100_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(|fails| Step::Write { fails }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens in between, an orderly restart changes no count and no later one; nor does a batch that fails and is put back.
    #[test]
    fn restarts_and_failed_writes_change_nothing(steps in proptest::collection::vec(step(), 0..80)) {
        let mut now = START;
        // One that never ends and is never written, and one that is restarted. Who asked before is forgotten at a restart, so
        // that no two steps are by the same caller.
        let (mut steady, mut restarted, mut kept) = (Counts::new([7; 32], now), Counts::new([8; 32], now), Kept::default());
        let mut said = [0u64; 4];
        let mut steady_kept = Kept::default();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Download { caller, path } => {
                    let path = path.to_string();
                    let caller = u32::try_from(n).unwrap() * 256 + u32::from(caller);
                    steady.download(&download(caller, &path), now);
                    restarted.download(&download(caller, &path), now);
                }
                Step::Hear { relay: of, bodies } => {
                    said[usize::from(of)] += bodies;
                    let bodies = said[usize::from(of)];
                    let sent = Sent { since: Timestamp(1), bodies, bytes: bodies * 10 };
                    steady.hear(relay(of), CATALOG, sent, now);
                    restarted.hear(relay(of), CATALOG, sent, now);
                }
                Step::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Step::Write { fails } => {
                    let batch = restarted.take_batch(now);
                    if fails { restarted.put_back(batch) } else { kept.write(batch) }
                }
                Step::Restart => {
                    kept.write(restarted.take_batch(now));
                    restarted = Counts::new([9; 32], now);
                    restarted.restore(kept.read());
                }
            }
        }
        steady_kept.write(steady.take_batch(now));
        kept.write(restarted.take_batch(now));
        prop_assert_eq!(&steady_kept.rows, &kept.rows);
        prop_assert_eq!(&steady_kept.artifacts, &kept.artifacts);
        prop_assert!(steady.rows().eq(restarted.rows()));
    }
}
