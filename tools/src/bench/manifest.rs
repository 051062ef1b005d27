//! `odi bench manifest`: what building, changing, proving and looking up cost on this machine.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use odi_manifest::{
    ArtifactPath, BlobId, CatalogId, DiffHeader, Entry, HeadId, MemoryNodes, NodeId, NodeSink, Nodes,
    NodesError, Op, Proof, Sha256, Tree, TreeBuilder, apply_diff, decode_diff, encode_diff,
};
use odi_store::{RealDisk, Store, StoreOptions};

/// What `odi bench manifest` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Paths of the manifest on which everything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub paths: u64,
    /// Paths of a second, larger manifest, on which changes are measured again; 0 for none.
    #[arg(long, default_value_t = 10_000_000)]
    pub large: u64,
    /// Random look-ups.
    #[arg(long, default_value_t = 2_000_000)]
    pub look_ups: u64,
}

/// How often a change is made; the median counts.
const CHANGE_ROUNDS: u64 = 21;
/// Paths changed at once.
const CHANGES: u64 = 10;

/// Measures and prints one line per figure, with the target where the design names one.
///
/// # Errors
/// The manifest misbehaves; missed targets are printed, not failed, for they depend on the machine.
pub fn run(args: &Args) -> Result<()> {
    let mut random = Random(0x0d1);
    let names = Names { packages: args.paths.div_ceil(Names::PER_PACKAGE).max(1), count: args.paths };
    let (tree, nodes) = bench_build(&names, ["<= 3 s at 1 M", "<= 500 MB at 1 M"])?;
    bench_change(&names, &tree, &nodes, &mut random, "<= 15 ms")?;
    bench_proofs(&names, &tree, &nodes, &mut random)?;
    bench_look_ups(&names, &tree, &nodes, &mut random, args.look_ups)?;
    drop(nodes);
    if args.large > 0 {
        let names = Names { packages: args.large.div_ceil(Names::PER_PACKAGE), count: args.large };
        let (tree, nodes) = bench_build(&names, ["", ""])?;
        bench_change(&names, &tree, &nodes, &mut random, "<= 60 ms")?;
    }
    Ok(())
}

/// A small generator of numbers (splitmix64): the same manifest and the same changes in every run.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

const fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Paths like those of a distribution's pool, ascending by number, 60 bytes on average.
struct Names {
    packages: u64,
    count: u64,
}

impl Names {
    const PER_PACKAGE: u64 = 5;
    const FILES: [&'static str; 5] = ["all.deb", "amd64.deb", "arm64.deb", "debian.tar.xz", "orig.tar.gz"];

    fn path(&self, number: u64) -> Result<ArtifactPath> {
        let (package, file) = (number / Self::PER_PACKAGE, number % Self::PER_PACKAGE);
        let letters = 26 * 26;
        let group = package * letters / self.packages;
        let letter = |index: u64| char::from(b'a' + u8::try_from(index % 26).unwrap_or_default());
        let (a, b) = (letter(group / 26), letter(group));
        let version = scramble(package);
        let kind = Self::FILES.get(usize::try_from(file)?).context("five files per package")?;
        let text = format!(
            "pool/main/{a}/{a}{b}x-{package:07}-dev/{a}{b}x-{package:07}_{}.{}.{}-{}_{kind}",
            version % 5,
            version / 8 % 30,
            version / 512 % 12,
            version / 16384 % 4
        );
        Ok(ArtifactPath::parse(&text)?)
    }

    fn entry(number: u64, version: u64) -> Entry {
        let mut random = Random(number ^ (version << 40));
        let mut digest = [0; 32];
        let mut other = [0; 32];
        for part in digest.chunks_mut(8).chain(other.chunks_mut(8)) {
            part.copy_from_slice(&random.next().to_le_bytes());
        }
        Entry {
            size: random.below(1 << (10 + random.0 % 14)),
            blob: BlobId::from_bytes(digest),
            sha256: Sha256::from_bytes(other),
            mtime: 1_600_000_000 + random.below(200_000_000),
            ext: None,
        }
    }
}

/// Counts what passes through to memory.
struct Counted {
    nodes: MemoryNodes,
    bytes: u64,
    largest: usize,
}

impl NodeSink for Counted {
    fn put(&mut self, id: NodeId, encoded: Vec<u8>) -> Result<(), NodesError> {
        self.bytes += encoded.len() as u64;
        self.largest = self.largest.max(encoded.len());
        self.nodes.put(id, encoded)
    }
}

fn bench_build(names: &Names, [time, memory]: [&str; 2]) -> Result<(Tree, MemoryNodes)> {
    let mut sink = Counted { nodes: MemoryNodes::new(), bytes: 0, largest: 0 };
    let mut builder = TreeBuilder::new(&mut sink);
    let (mut path_bytes, mut spent) = (0, Duration::ZERO);
    for begin in (0..names.count).step_by(10_000) {
        let end = (begin + 10_000).min(names.count);
        let batch: Vec<_> = (begin..end)
            .map(|number| Ok((names.path(number)?, Names::entry(number, 0))))
            .collect::<Result<_>>()?;
        let start = Instant::now();
        for (path, entry) in &batch {
            path_bytes += path.as_str().len() as u64;
            builder.push(path, entry)?;
        }
        spent += start.elapsed();
    }
    let start = Instant::now();
    let tree = builder.finish()?;
    spent += start.elapsed();
    let nodes = sink.nodes.len() as u64;
    line("paths", &format!("{} (mean {} bytes)", names.count, path_bytes / names.count.max(1)), "");
    line("build from scratch", &format!("{:.2} s", spent.as_secs_f64()), time);
    line("peak memory (every decoded node held)", &peak_memory(), memory);
    let mean = sink.bytes / nodes.max(1);
    line(
        "nodes",
        &format!("{nodes} on {} levels, mean {mean} bytes, largest {}", tree.level + 1, sink.largest),
        "",
    );
    line("whole manifest encoded", &format!("{:.1} MB", sink.bytes as f64 / 1e6), "");
    Ok((tree, sink.nodes))
}

/// Changes ten random paths: bytes of the diff, time to decode, apply and verify it, and time to find it again.
fn bench_change(
    names: &Names,
    tree: &Tree,
    nodes: &MemoryNodes,
    random: &mut Random,
    target: &str,
) -> Result<()> {
    let (mut sizes, mut applied, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=CHANGE_ROUNDS {
        let mut numbers: Vec<u64> = (0..CHANGES).map(|_| random.below(names.count)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let ops = numbers
            .iter()
            .map(|number| Ok(Op::Put(names.path(*number)?, Names::entry(*number, round))))
            .collect::<Result<Vec<_>>>()?;
        let mut expected_nodes = MemoryNodes::new();
        let expected = tree.update(nodes, &mut expected_nodes, &ops)?;
        let header = DiffHeader {
            cat: CatalogId::of(b"bench"),
            from: HeadId::of(b"from"),
            to: HeadId::of(b"to"),
            n: 0,
        };
        let encoded = encode_diff(&header, &ops);
        sizes.push(encoded.len());
        let start = Instant::now();
        let (_, decoded) = decode_diff(&encoded)?;
        let mut sink = MemoryNodes::new();
        let result = apply_diff(nodes, &mut sink, tree, &decoded, &expected.root)?;
        applied.push(start.elapsed());
        ensure!(result == expected, "apply and update disagree");
        let both = Both { old: nodes, new: &expected_nodes };
        let start = Instant::now();
        let changes = Tree::diff(&both, tree, &expected).count();
        found.push(start.elapsed());
        ensure!(changes == ops.len(), "the diff found {changes} changes instead of {}", ops.len());
    }
    line("diff of 10 changes", &format!("{} bytes", median(&mut sizes)), "<= 1700 bytes");
    line("apply and verify them", &format!("{:.2} ms", median(&mut applied).as_secs_f64() * 1e3), target);
    line("find them between two trees", &format!("{:.2} ms", median(&mut found).as_secs_f64() * 1e3), "");
    Ok(())
}

/// The former tree's nodes and the later one's.
struct Both<'n> {
    old: &'n MemoryNodes,
    new: &'n MemoryNodes,
}

impl Nodes for Both<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<odi_manifest::Node>, NodesError> {
        self.new.node(id).or_else(|_| self.old.node(id))
    }
}

fn bench_proofs(names: &Names, tree: &Tree, nodes: &MemoryNodes, random: &mut Random) -> Result<()> {
    let mut sizes = Vec::new();
    let mut times = Vec::new();
    for round in 0..1000 {
        let number = random.below(names.count);
        let path = names.path(number)?;
        let asked = if round % 2 == 0 { path.to_string() } else { format!("{path}.absent") };
        let encoded = tree.prove(nodes, &asked)?.encode();
        sizes.push(encoded.len());
        let start = Instant::now();
        let proved = Proof::decode(&encoded)?.verify(&tree.root, &asked)?;
        times.push(start.elapsed());
        ensure!(proved.is_some() == (round % 2 == 0), "the proof for {asked} says the opposite");
    }
    let (middle, time) = (median(&mut sizes), median(&mut times));
    let largest = sizes.last().copied().unwrap_or_default();
    line("proof", &format!("median {middle} bytes, largest of 1000 {largest}"), "<= 60 KB");
    line("verify a proof", &format!("{:.0} us", time.as_secs_f64() * 1e6), "");
    Ok(())
}

/// Looks up paths that were asked before, as most are, through a store as the daemons do; and paths from anywhere, which
/// wait for memory.
fn bench_look_ups(
    names: &Names,
    tree: &Tree,
    nodes: &MemoryNodes,
    random: &mut Random,
    count: u64,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = stored(tree, nodes, folder.path())?;
    let kinds: [(_, &dyn Nodes, _, _); 3] = [
        ("look-up in a store, warm (10 k in turn)", &store.nodes(), 10_000, ">= 1 M/s"),
        ("look-up in memory, 10 k in turn", nodes, 10_000, ""),
        ("look-up in memory, anywhere", nodes, 500_000, ""),
    ];
    for (what, nodes, distinct, target) in kinds {
        let distinct = distinct.min(count);
        let asked: Vec<_> =
            (0..distinct).map(|_| names.path(random.below(names.count))).collect::<Result<_>>()?;
        let look_up_all = || -> Result<u64> {
            let mut found = 0;
            for path in &asked {
                found += u64::from(tree.get(nodes, path.as_str())?.is_some());
            }
            Ok(found)
        };
        ensure!(look_up_all()? == distinct, "some look-ups found nothing");
        let rounds = count.div_ceil(distinct.max(1));
        let start = cpu_time();
        let found = (0..rounds).map(|_| look_up_all()).sum::<Result<u64>>()?;
        let rate = found as f64 / (cpu_time() - start).as_secs_f64() / 1e6;
        ensure!(found == rounds * distinct, "some look-ups found nothing");
        line(what, &format!("{rate:.2} M/s on one core"), target);
    }
    Ok(())
}

/// A store that holds the nodes of a tree.
fn stored(tree: &Tree, nodes: &MemoryNodes, folder: &Path) -> Result<Store> {
    let store = Store::open(Arc::new(RealDisk), folder, StoreOptions::default())?;
    for id in tree.node_ids(nodes) {
        let id = id?;
        store.put_node(&id, &nodes.encoded(&id).context("a node of the tree is not in memory")?)?;
    }
    store.flush()?;
    Ok(store)
}

fn median<T: Ord + Copy + Default>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Time that this thread ran, so that a busy machine does not count; without the kernel's help, time of day.
fn cpu_time() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran = schedule.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    ran.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

/// The most memory this process ever held, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1000))
}

#[expect(clippy::print_stdout, reason = "a benchmark's figures are its output")]
fn line(what: &str, figure: &str, target: &str) {
    let target = if target.is_empty() { String::new() } else { format!("   (target {target})") };
    println!("{what:<40} {figure}{target}");
}
