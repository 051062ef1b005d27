//! Programs on one core, and what they cost. Linux only, as all of this bench is: it reads `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Clock ticks as user space sees them: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A program that runs on one core until this is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    child: Child,
}

/// Keeps this thread, and whatever it starts from now on, on one core.
pub(super) fn pin(cpu: usize) -> Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        bail!("there is no core {cpu}");
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("keep to core {cpu}: the bench needs two cores"))
}

/// Where a program is.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where ordinary users do not look.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.with_context(|| format!("{program} is not installed, and this bench measures with it"))
}

impl Pinned {
    /// Starts a program on one core.
    pub(super) fn start(command: &mut Command, cpu: usize) -> Result<Self> {
        // A child inherits the affinity of the thread that starts it.
        let started = std::thread::scope(|scope| {
            let start = scope.spawn(|| {
                pin(cpu)?;
                command.spawn().with_context(|| format!("start {command:?}"))
            });
            start.join()
        });
        match started {
            Ok(child) => Ok(Self { child: child? }),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// CPU time so far, of the program and its children.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        tree(self.child.id()).into_iter().map(cpu_time_of).sum()
    }

    /// Bytes in memory now, of the program and its children.
    pub(super) fn rss(&self) -> Result<u64> {
        tree(self.child.id()).into_iter().map(rss_of).sum()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // TERM, for nginx takes its worker along only then.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let _ended = self.child.wait();
    }
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut looked = 0;
    while let Some(pid) = found.get(looked) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        looked += 1;
    }
    found
}

fn cpu_time_of(pid: u32) -> Result<Duration> {
    let unreadable = || format!("read the CPU time of process {pid}");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(unreadable)?;
    // The name before it may hold anything, even a parenthesis.
    let (_, fields) = stat.rsplit_once(')').with_context(unreadable)?;
    let ticks: u32 = fields.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse::<u32>).sum();
    Ok(TICK * ticks)
}

fn rss_of(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(Path::new(&path)).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| path.clone())?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| path.clone())?;
    Ok(kib << 10)
}
