//! The course of a soak: what happens when, and what is noted meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_wire::message::RelayStatus;
use odi_wire::off_worker::off_worker;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clients::{Tally, World, come};
use super::draw::Draw;
use super::lab::{Fate, Lab, NAME};
use super::watch::disk_of;
use super::{Args, content, say};
use crate::demo::DemoCatalog;

/// Between two looks at disks.
const TICK: Duration = Duration::from_millis(250);
/// Samples of a run, about.
const SAMPLES: u32 = 240;
/// How long relays may take to join, and to have the newest head afterwards.
const PATIENCE: Duration = Duration::from_secs(180);
/// A daemon that does not say within this how it is has said nothing.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
/// A dead relay stays so.
const DEAD: Duration = Duration::from_secs(4);
/// Between two words on how far it is.
const TELL: Duration = Duration::from_secs(60);

/// How a run ended.
pub(super) struct Ended {
    pub(super) tally: Arc<Tally>,
    pub(super) heads: u64,
    pub(super) lasted: Duration,
    pub(super) kills: u32,
    pub(super) origin_deaths: u32,
    /// Relays without the newest head after all patience.
    pub(super) behind: Vec<String>,
}

/// Loads everything for as long as it is to last, then waits for it to settle.
pub(super) async fn run(
    args: &Args,
    lasts: Duration,
    lab: &mut Lab,
    world: Arc<World>,
    catalog: DemoCatalog,
    draw: Draw,
) -> Result<Ended> {
    let joined = |status: &RelayStatus| ours(status).is_some_and(|(_, assigned)| assigned);
    let missing = until_all(lab, joined).await;
    if !missing.is_empty() {
        bail!("without an assignment after {} s: {}", PATIENCE.as_secs(), missing.join(", "));
    }
    say(&format!(
        "{} relays have joined; {:.1} minutes of load begin",
        lab.relays.len(),
        lasts.as_secs_f64() / 60.0
    ));
    let mut tasks = JoinSet::new();
    for number in 0..args.clients {
        let draw = Draw::new(args.seed, &format!("client {number}"));
        tasks.spawn(come(Arc::clone(&world), lab.client.clone(), draw));
    }
    let every = Duration::from_secs(args.every);
    let mut publishing = tokio::spawn(publish(Arc::clone(&world), Arc::new(catalog), draw, every));
    let mut events = Events::new(lasts);
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    while began.elapsed() < lasts {
        ticks.tick().await;
        if publishing.is_finished() {
            (&mut publishing).await??;
        }
        events.happen(lab, began)?;
        events.look(lab, began, &world).await?;
    }
    tasks.shutdown().await;
    // A publication that is under way goes on without anybody, in a thread: what it publishes is known already.
    publishing.abort();
    events.end(lab)?;
    let lasted = began.elapsed();
    let newest = world.published.newest_seq();
    // The newest may not be published any more.
    let behind = until_all(lab, |status| ours(status).is_some_and(|(seq, _)| seq + 1 >= newest)).await;
    Ok(Ended {
        tally: Arc::clone(&world.tally),
        heads: newest,
        lasted,
        kills: events.kills,
        origin_deaths: events.origin_deaths,
        behind,
    })
}

/// The head of the soak's catalog that a relay serves, and whether anything of it is assigned.
fn ours(status: &RelayStatus) -> Option<(u64, bool)> {
    let ours = status.catalogs.iter().find(|catalog| catalog.name == NAME)?;
    Some((ours.served.as_ref()?.seq, ours.assigned))
}

/// Waits until all relays are as they should be; returns those that are not after all patience.
async fn until_all(lab: &Lab, holds: impl Fn(&RelayStatus) -> bool) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut others = Vec::new();
        for relay in &lab.relays {
            if !lab.status(relay).await.is_some_and(|status| holds(&status)) {
                others.push(relay.program.name.clone());
            }
        }
        if others.is_empty() || Instant::now() > deadline {
            return others;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Publishes a new state now and again, for ever.
async fn publish(
    world: Arc<World>,
    catalog: Arc<DemoCatalog>,
    mut draw: Draw,
    every: Duration,
) -> Result<()> {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        let seq = world.published.newest_seq() + 1;
        let former = world.published.state(seq - 1).context("there is a state before")?;
        let next = content::next(&former, seq, &mut draw);
        world.published.add(next.clone());
        let catalog = Arc::clone(&catalog);
        let published = off_worker(move || {
            content::write(&catalog.tree, &former, &next)?;
            catalog.publish()
        });
        published.await.with_context(|| format!("publish head {seq}"))?;
    }
}

/// What happens to others in the course of a run, and what is looked at.
struct Events {
    lasts: Duration,
    /// The origin is away for a third of it.
    origin_cycle: Duration,
    origin_on: bool,
    origin_deaths: u32,
    kill_every: Duration,
    kills: u32,
    revive_at: Option<Instant>,
    lie_every: Duration,
    lies: u32,
    sample_due: Instant,
    told: Instant,
}

impl Events {
    fn new(lasts: Duration) -> Self {
        Self {
            lasts,
            origin_cycle: (lasts / 3).min(Duration::from_secs(60)),
            origin_on: true,
            origin_deaths: 0,
            kill_every: (lasts / 3).min(Duration::from_secs(90)),
            kills: 0,
            revive_at: None,
            lie_every: (lasts / 5).min(Duration::from_secs(60)),
            lies: 0,
            sample_due: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Makes happen what is due.
    fn happen(&mut self, lab: &mut Lab, began: Instant) -> Result<()> {
        let elapsed = began.elapsed();
        let in_cycle = Duration::from_secs_f64(elapsed.as_secs_f64() % self.origin_cycle.as_secs_f64());
        let origin_on = in_cycle < self.origin_cycle / 3 * 2;
        if origin_on != self.origin_on {
            self.origin_on = origin_on;
            self.origin_deaths += u32::from(!origin_on);
            lab.turn_origin(origin_on)?;
        }
        let due = elapsed > self.kill_every.mul_f64(f64::from(self.kills) + 0.5);
        let revive = self.revive_at.is_some_and(|at| at <= Instant::now());
        for mortal in lab.relays.iter_mut().filter(|relay| relay.fate == Fate::Mortal) {
            if revive {
                mortal.revive()?;
                self.revive_at = None;
            } else if due && self.revive_at.is_none() {
                self.kills += 1;
                mortal.program.kill();
                self.revive_at = Some(Instant::now() + DEAD);
            }
        }
        if elapsed > self.lie_every * (self.lies + 1) {
            self.lies += 1;
            lab.relays.iter_mut().try_for_each(|relay| relay.lie())?;
        }
        Ok(())
    }

    /// Looks at every disk, and now and then at everything else.
    #[expect(clippy::cast_precision_loss, reason = "figures for a table")]
    async fn look(&mut self, lab: &mut Lab, began: Instant, world: &World) -> Result<()> {
        let seconds = began.elapsed().as_secs_f64();
        for relay in &mut lab.relays {
            let data = relay.data.clone();
            let disk = off_worker(move || disk_of(&data)).await;
            relay.watch.disk.note(seconds, disk as f64);
        }
        if Instant::now() < self.sample_due {
            return Ok(());
        }
        self.sample_due = Instant::now() + self.lasts / SAMPLES;
        let mut accounts = Vec::new();
        for relay in lab.relays.iter().filter(|relay| self.revive_at.is_none() || relay.fate != Fate::Mortal)
        {
            let status = tokio::time::timeout(STATUS_PATIENCE, lab.status(relay)).await.ok().flatten();
            accounts.extend(status.map(|status| (relay.url.clone(), status.stored_bytes)));
        }
        for daemon in lab.directories.iter_mut().chain(&mut lab.relays) {
            if let Some(pid) = daemon.program.pid()? {
                daemon.watch.note_process(seconds, pid)?;
            }
            if let Some((_, bytes)) = accounts.iter().find(|(url, _)| *url == daemon.url) {
                daemon.watch.accounted.note(seconds, *bytes as f64);
            }
        }
        lab.origin.pid()?;
        if self.told.elapsed() > TELL {
            self.told = Instant::now();
            self.tell(seconds, world);
        }
        Ok(())
    }

    fn tell(&self, seconds: f64, world: &World) {
        let count =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let tally = &world.tally;
        say(&format!(
            "  {:5.1} min: head {}, {} bodies in full, {} MB right, {} wrong; {} kills, origin away {} times",
            seconds / 60.0,
            world.published.newest_seq(),
            count(&tally.right),
            count(&tally.bytes) / 1_000_000,
            tally.wrong().0,
            self.kills,
            self.origin_deaths,
        ));
    }

    /// All that was dead lives again.
    fn end(&mut self, lab: &mut Lab) -> Result<()> {
        if !self.origin_on {
            lab.turn_origin(true)?;
        }
        if self.revive_at.take().is_some() {
            let mut dead = lab.relays.iter_mut().filter(|relay| relay.fate == Fate::Mortal);
            dead.try_for_each(|relay| relay.revive())?;
        }
        Ok(())
    }
}
