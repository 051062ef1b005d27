//! Directories and relays are killed while somebody who knows two directories loops over everything there is.

use std::time::{Duration, Instant};

use url::Url;

use crate::lab::{Lab, Scheme};
use crate::maintainer::Maintainer;
use crate::visitor::Visitor;

/// How long a relay counts as alive after it was last heard of.
const LEASE: Duration = Duration::from_secs(60);
/// How much longer the network is watched.
const AFTER: Duration = Duration::from_secs(10);
/// How long it is watched where detection is known to come before the lease ends.
const SOON: Duration = Duration::from_secs(12);

/// How often a client tries before it gives up: twice at each directory.
const TRIES: usize = 4;

/// Sizes on both sides of what a directory carries itself.
const SIZES: [usize; 10] =
    [900, 20_000, 65_536, 65_537, 90_000, 262_144, 262_145, 400_000, 700_000, 1_500_000];

/// Who dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Directory(usize),
    Relay(usize),
}

fn path(size: usize) -> String {
    format!("pool/{size}.bin")
}

fn content(size: usize) -> String {
    format!("{size} bytes. ").chars().cycle().take(size).collect()
}

/// What became of the downloads of one watch.
#[derive(Debug, Default)]
struct Watched {
    right: usize,
    /// When the last one failed that began at a living directory, since the death.
    last_failure: Option<Duration>,
    failures: usize,
}

/// Loops over everything, going to the directories by turns, for so long. Nothing may ever be wrong, and however fresh the death is,
/// whoever asks again gets it: at the other directory if one is dead, from another relay if one is.
async fn watch(lab: &Lab, dead: &[usize], long: Duration) -> Watched {
    let (visitor, began, mut watched) = (Visitor::new(), Instant::now(), Watched::default());
    for (turn, size) in SIZES.into_iter().cycle().enumerate() {
        if began.elapsed() > long {
            break;
        }
        let mut tries = 0;
        let (bytes, at) = loop {
            let directory = (turn / SIZES.len() + turn + tries) % 2;
            let url = Url::parse(&format!("{}/demo/{}", lab.directory(directory), path(size))).unwrap();
            let failed = match visitor.fetch(&url).await {
                Ok(got) => break got,
                Err(failed) => failed,
            };
            let after = began.elapsed();
            if !dead.contains(&directory) {
                odi_fixtures::tell!("  {:.1} s: {url}: {failed}", after.as_secs_f64());
                watched.failures += 1;
                watched.last_failure = Some(after);
            }
            tries += 1;
            assert!(
                tries < TRIES,
                "{url} does not come, {after:?} after the death: {failed}\n{}",
                lab.logs()
            );
        };
        assert!(bytes == content(size).as_bytes(), "{} is wrong, from {at}", path(size));
        watched.right += 1;
    }
    watched
}

#[test]
fn whoever_dies_no_download_fails_after_the_lease_and_none_is_ever_wrong() {
    let m = Maintainer::new();
    SIZES.into_iter().for_each(|size| m.write(&path(size), &content(size)));
    let mut lab = Lab::new(m.path(), m.tree(), Scheme::Http);
    let init = ["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    let id =
        m.json(&[init.as_slice(), &["--origin", &lab.origin()]].concat())["id"].as_str().unwrap().to_owned();
    m.ok(&["publish", "TREE", "--key", "REL"]);
    lab.start("demo", &id);
    lab.until_settled(1);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rounds: [(&[Victim], Duration); 4] = [
        (&[Victim::Relay(0), Victim::Directory(0)], LEASE + AFTER),
        (&[Victim::Relay(1)], SOON),
        (&[Victim::Relay(2)], SOON),
        (&[Victim::Directory(1)], SOON),
    ];
    for (victims, long) in rounds {
        // Everybody has something of everybody by then.
        assert_eq!(runtime.block_on(watch(&lab, &[], Duration::from_secs(3))).failures, 0);
        let mut dead = Vec::new();
        for victim in victims {
            match *victim {
                Victim::Relay(number) => lab.gates[number].kill(),
                Victim::Directory(number) => {
                    lab.kill_directory(number);
                    dead.push(number);
                }
            }
        }
        let Watched { right, failures, last_failure } = runtime.block_on(watch(&lab, &dead, long));
        odi_fixtures::tell!(
            "{victims:?}: {right} downloads right, {failures} failed at first, the last of them {:.1} s after the death",
            last_failure.unwrap_or_default().as_secs_f64()
        );
        assert!(
            last_failure.is_none_or(|after| after < LEASE),
            "{victims:?}: {last_failure:?}\n{}",
            lab.logs()
        );
        lab.revive();
        lab.until_settled(1);
    }
}
