//! Being a member of one directory: register, announce, take the assignment, hear what others hold.
//!
//! One task per directory, of two loops. One registers when the directory does not know this relay, and otherwise announces
//! every 20 s, and sooner when there is something new; each failure backs off up to a minute. The other learns what the directory
//! has to say after each announcement; what fails or hangs there never delays the next one, so it never costs the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use odi_manifest::{Signer, Timestamp};
use odi_wire::message::{
    Inventory, Leave, RelayReg, RelayState, Statement, assignable_bytes, room_cap, state,
};
use odi_wire::off_worker::off_worker;
use odi_wire::route::CatalogName;
use odi_wire::selftest::SELFTEST_NAME;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::acquaintance::{AcquaintanceError, Contradiction};
use crate::admission::admits_selftest;
use crate::bell::{Bell, Ear};
use crate::chain;
use crate::directory::Directory;
use crate::directory_api::{CallError, DirectoryApi};
use crate::following::jitter;
use crate::identity::IdentityError;
use crate::relay::Relay;

/// Between two announcements at most.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(20);
/// The same until the directory calls the relay ready.
const UNSETTLED_EVERY: Duration = Duration::from_secs(1);
/// For how long an introduced directory may take over that.
const UNSETTLED_FOR: Duration = Duration::from_secs(300);
/// Between two announcements at least: news gather for so long.
const ANNOUNCE_GAP: Duration = Duration::from_millis(300);
/// The same while blobs arrive one by one.
const PROGRESS_GAP: Duration = Duration::from_secs(2);
/// Between two looks at what other relays hold.
const OTHERS_EVERY: Duration = Duration::from_secs(5);
/// How long an inventory holds; the directory's lease is 60 s.
const INVENTORY_LIFE: Duration = Duration::from_secs(90);
/// Between two looks at what the directory offers.
const CATALOGS_EVERY: Duration = Duration::from_secs(60);
/// Between two looks at the age of the secret, and between two registrations with one that the directory has not used yet.
const SECRET_EVERY: Duration = Duration::from_secs(600);
/// Before a call is tried again that should have taught something.
const LEARN_AGAIN: Duration = Duration::from_secs(5);
/// After a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What a relay says that looks at others for directories.
const VANTAGE: &str = "vantage";
/// How long a directory may take over a leave.
const LEAVE: Duration = Duration::from_secs(5);

/// Why a step of a membership failed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// The call did.
    #[error("a call failed")]
    Call(#[from] CallError),
    /// The directory is not the one that is remembered.
    #[error("the directory contradicts itself")]
    Contradiction(#[from] Contradiction),
    /// What is learned could not be kept.
    #[error("cannot remember the directory")]
    Acquaintance(#[from] AcquaintanceError),
    /// The statement counter could not be kept.
    #[error("cannot count statements")]
    Identity(#[from] IdentityError),
    /// There is no other secret.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// A statement could not be made.
    #[error("cannot make a statement")]
    Statement(#[from] odi_wire::message::StateError),
    /// An introduced directory offers nothing that any of the operator's does, as far as is known.
    #[error("another directory introduced it, and it offers no catalog that is carried here")]
    NothingShared,
}

/// Keeps up the membership until `stop`.
pub async fn run(relay: Arc<Relay>, directory: Arc<Directory>, stop: CancellationToken) {
    let (leased, roster_gen) = (Bell::default(), AtomicU64::new(0));
    let member = Member { relay, directory, began: Instant::now(), leased, roster_gen };
    let both = async { tokio::join!(member.keep_announced(), member.keep_informed()) };
    stop.run_until_cancelled(both).await;
}

/// Tells a directory that this relay goes.
pub async fn leave(relay: &Relay, directory: &Directory) {
    let leaving = async {
        let now = relay.clock.now();
        let leave = Leave {
            v: 1,
            relay: relay.identity.public_key(),
            generation: relay.identity.next_generation(now)?,
            t: now,
        };
        let statement = state(leave, relay.identity.signer())?;
        DirectoryApi { client: &relay.client, url: &directory.url }.leave(statement).await?;
        Ok::<(), MembershipError>(())
    };
    match tokio::time::timeout(LEAVE, leaving).await {
        Ok(Ok(())) => tracing::info!(directory = %directory.url, "left"),
        Ok(Err(error)) => {
            tracing::warn!(directory = %directory.url, error = &error as &dyn std::error::Error, "cannot leave");
        }
        Err(_) => tracing::warn!(directory = %directory.url, "does not answer to a leave"),
    }
}

struct Member {
    relay: Arc<Relay>,
    directory: Arc<Directory>,
    began: Instant,
    /// Rung by each announcement that the directory took.
    leased: Bell,
    /// The state of the roster that the last lease spoke of.
    roster_gen: AtomicU64,
}

/// Something that the directory teaches: when it is asked next, and why the last answer was no good.
struct Lesson {
    due: Instant,
    fault: Option<String>,
}

impl Lesson {
    fn new() -> Self {
        Self { due: Instant::now(), fault: None }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Takes note of an answer, which may name something to warn of.
    fn note<E: std::error::Error>(&mut self, answer: Result<Option<E>, MembershipError>, every: Duration) {
        let (fault, again) = match answer {
            Ok(warning) => (warning.map(|warning| chain::of(&warning)), every),
            Err(error) => (Some(chain::of(&error)), LEARN_AGAIN),
        };
        self.due = Instant::now() + again;
        self.fault = fault;
    }
}

impl Member {
    async fn keep_announced(&self) {
        let mut news = self.relay.announce.listen();
        let mut progress = self.relay.fill.listen();
        let mut told = self.directory.told_of_news.listen();
        let mut backoff = BACKOFF.0;
        loop {
            match self.be_known().await {
                Ok(()) => {
                    self.directory.link().works();
                    backoff = BACKOFF.0;
                    self.wait(&mut news, &mut progress, &mut told).await;
                }
                Err(error) => {
                    let words = chain::of(&error);
                    if self.directory.is_introduced() {
                        // The operator need not care; the status shows it.
                        tracing::debug!(directory = %self.directory.url, error = words, "membership");
                    } else {
                        tracing::warn!(directory = %self.directory.url, error = words, "membership");
                    }
                    self.directory.link().fails(words, self.relay.clock.now().plus(backoff));
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    async fn keep_informed(&self) {
        let mut leased = self.leased.listen();
        let (mut catalogs, mut assignment, mut others) = (Lesson::new(), Lesson::new(), Lesson::new());
        let (mut roster_heard, mut carried) = (None, Vec::new());
        let mut secret = Lesson::new();
        loop {
            leased.rung().await;
            // What an introduced directory is asked for depends on what the others offer.
            let carried_now = self.relay.directories.carried();
            if catalogs.is_due() || self.directory.is_introduced() && carried_now != carried {
                carried = carried_now;
                catalogs.note(self.look_at_catalogs().await, CATALOGS_EVERY);
                let asked_for = self.directory.link().asked_for.clone();
                if self.directory.wishes().is_none_or(|(names, _)| names != asked_for) {
                    self.directory.told_of_news.ring();
                }
            }
            if assignment.is_due() && self.directory.link().has_other_assignment() {
                assignment.note(self.take_assignment().await.map(never), Duration::ZERO);
            }
            self.relay.reassign();
            let roster = Some(self.roster_gen.load(Ordering::Relaxed));
            if others.is_due() || roster != roster_heard {
                roster_heard = roster;
                others.note(self.hear_of_others().await.map(never), OTHERS_EVERY);
            }
            if secret.is_due() && self.directory.link().state == RelayState::Ready {
                secret.note(self.keep_secret_fresh().await.map(never), SECRET_EVERY);
            }
            let fault = [&catalogs, &assignment, &others, &secret]
                .into_iter()
                .find_map(|lesson| lesson.fault.clone());
            let mut link = self.directory.link();
            if let Some(words) = fault.as_ref().filter(|_| fault != link.not_learned) {
                if self.directory.is_introduced() {
                    tracing::debug!(directory = %self.directory.url, error = words, "not learned");
                } else {
                    tracing::warn!(directory = %self.directory.url, error = words, "not learned");
                }
            }
            link.not_learned = fault;
        }
    }

    /// Until there is news or the next announcement is due; at least the gap that lets news gather.
    async fn wait(&self, news: &mut Ear, progress: &mut Ear, told: &mut Ear) {
        // Until the directory has made up its mind, ask again soon.
        let agreed = self.relay.directories.agreed_to();
        let mut catalogs = agreed.iter().filter_map(|(id, _)| self.relay.catalogs.get(id));
        let settled = matches!(self.directory.link().state, RelayState::Ready)
            && catalogs.all(|catalog| catalog.introduction.is_made());
        // One that nobody chose and that never makes up its mind has no claim to that.
        let is_slow = self.directory.is_introduced() && self.began.elapsed() > UNSETTLED_FOR;
        let every = if settled || is_slow { ANNOUNCE_EVERY } else { UNSETTLED_EVERY };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = news.rung() => tokio::time::sleep(ANNOUNCE_GAP).await,
            () = progress.rung() => tokio::time::sleep(PROGRESS_GAP).await,
            () = told.rung() => tokio::time::sleep(jitter()).await,
        }
    }

    async fn be_known(&self) -> Result<(), MembershipError> {
        self.meet().await?;
        if self.directory.is_introduced() {
            self.see_what_is_shared().await?;
        }
        if self.directory.link().state == RelayState::Unknown
            && let Err(error) = self.register().await
        {
            self.is_the_same().await?;
            return Err(error);
        }
        self.announce().await
    }

    /// Before it registers with an introduced directory a relay knows what to ask for there, and whom its secret goes to. When
    /// that is no longer what it asked for it registers again, and with nothing left it leaves.
    async fn see_what_is_shared(&self) -> Result<(), MembershipError> {
        let directory = &self.directory;
        if directory.link().state == RelayState::Unknown {
            // Who introduced it said a key; one that shows none gets no secret.
            let key = self.api().key().await?;
            directory.acquaintance().meet(key)?;
            // What is remembered of it says nothing of what is carried now.
            self.look_at_catalogs().await?;
        }
        let Some((names, _)) = directory.wishes() else {
            if directory.link().state != RelayState::Unknown {
                directory.link().ends();
                leave(&self.relay, directory).await;
            }
            return Err(MembershipError::NothingShared);
        };
        let mut link = directory.link();
        if link.asked_for != names {
            link.state = RelayState::Unknown;
        }
        Ok(())
    }

    /// A directory with another key refuses what was made for the former one; that it changed says more than its refusal.
    async fn is_the_same(&self) -> Result<(), MembershipError> {
        let Ok(key) = self.api().key().await else { return Ok(()) };
        self.remember(|known| known.meet(key)).await
    }

    /// Fixes the directory's key at first sight; afterwards, that it is still the same is proved by what it signs.
    async fn meet(&self) -> Result<(), MembershipError> {
        if self.directory.acquaintance().key().is_some() {
            return Ok(());
        }
        let key = self.api().key().await?;
        self.remember(|known| known.meet(key)).await
    }

    async fn register(&self) -> Result<(), MembershipError> {
        let relay = &self.relay;
        let now = relay.clock.now();
        let mut nonce = [0; 16];
        // A nonce of zeros only makes two registrations of one second and generation alike, which cannot be.
        let _ = getrandom::fill(&mut nonce);
        let (catalogs, tags) = self.directory.wishes().ok_or(MembershipError::NothingShared)?;
        // The secret must be on disk before it leaves.
        self.remember(|_| Ok(())).await?;
        let registration = {
            let known = self.directory.acquaintance();
            let dir = known.key().ok_or(CallError::NoDirectory)?;
            RelayReg {
                v: 1,
                relay: relay.identity.public_key(),
                dir,
                urls: relay.config.public_urls.clone(),
                psk: known.secret().present().clone(),
                generation: relay.identity.next_generation(now)?,
                ct: now,
                nonce,
                catalogs: catalogs.clone(),
                tags,
                disk: relay.config.disk.0,
                rate: relay.config.terms.schedule.otherwise.map_or(0, |rate| rate.0),
                place: relay.config.place.clone(),
            }
        };
        let reply = self.api().register(self.signed(registration)?).await?;
        tracing::info!(directory = %self.directory.url, state = ?reply.state, "registered");
        let mut link = self.directory.link();
        link.state = reply.state;
        link.asked_for = catalogs;
        Ok(())
    }

    /// Has another secret take the place of one that is old, and registers with it until the directory has used it.
    async fn keep_secret_fresh(&self) -> Result<(), MembershipError> {
        let now = self.relay.clock.now();
        self.directory.acquaintance().change_secret(|secret| secret.count_age(now));
        if self.directory.acquaintance().secret().is_old(now) {
            let mut fresh = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *fresh).map_err(MembershipError::Random)?;
            // Registrations of before are below this one, and all that follow are above.
            let from = self.relay.identity.next_generation(now)?;
            self.directory.acquaintance().change_secret(|secret| {
                secret.replace(*fresh, from, now);
                true
            });
            tracing::info!(directory = %self.directory.url, "the shared secret is old; another one takes its place");
        }
        if self.directory.acquaintance().secret().is_untold() {
            return self.register().await;
        }
        self.remember(|_| Ok(())).await
    }

    /// Learns what is offered. A name that stood for another catalog before is left out, and returned.
    async fn look_at_catalogs(&self) -> Result<Option<Contradiction>, MembershipError> {
        let offered = self.api().catalogs().await?;
        let carried = self.relay.directories.carried();
        let mut wanted = Vec::new();
        for summary in offered {
            let Ok(name) = summary.name.parse::<CatalogName>() else { continue };
            let tags: Vec<String> = summary.tags.into_iter().collect();
            let takes = match summary.name.as_str() {
                // Nobody has to ask for it, and nothing larger passes under its name.
                SELFTEST_NAME => admits_selftest(summary.bytes, summary.entries),
                _ => self.directory.wants(&summary.name, &tags, &summary.id, &carried),
            };
            if takes {
                wanted.push((name, summary.id));
            }
        }
        let mut contradiction = None;
        self.remember(|known| {
            wanted.retain(|(name, id)| {
                known.name(name.as_str(), *id).map_err(|fault| contradiction.get_or_insert(fault)).is_ok()
            });
            Ok(())
        })
        .await?;
        self.directory.link().catalogs = wanted.into_iter().collect();
        self.relay.wanted_changed.ring();
        Ok(contradiction)
    }

    async fn announce(&self) -> Result<(), MembershipError> {
        let relay = &self.relay;
        let now = relay.clock.now();
        let mut inventory = relay.inventory(now)?;
        if self.directory.is_introduced() {
            // The operator agreed to look at others for the directories that they named.
            inventory.caps.retain(|cap| cap != VANTAGE);
        }
        let filled: Vec<_> =
            inventory.catalogs.iter().filter(|c| !c.fills.is_empty()).map(|c| c.cat).collect();
        let lease = self.api().announce(self.signed(inventory)?).await?;
        if lease.state != RelayState::Unknown && lease.state != RelayState::Unproven {
            for catalog in filled.iter().filter_map(|id| relay.catalogs.get(id)) {
                catalog.introduction.announced(Instant::now());
            }
        }
        let mut link = self.directory.link();
        if link.state != lease.state || link.reason != lease.reason {
            let reason = lease.reason.as_deref().unwrap_or_default();
            tracing::info!(directory = %self.directory.url, state = ?lease.state, reason, "standing");
        }
        link.state = lease.state;
        link.reason = lease.reason;
        link.assignment_due = lease.assignment_gen;
        link.lease_until = Some(lease.lease_until).filter(|_| lease.state != RelayState::Unknown);
        drop(link);
        // Which directory is the assigner depends on who lives.
        relay.reassign();
        if lease.state != RelayState::Unknown {
            self.roster_gen.store(lease.roster_gen, Ordering::Relaxed);
            self.leased.ring();
        }
        Ok(())
    }

    async fn take_assignment(&self) -> Result<(), MembershipError> {
        let directory = self.directory.acquaintance().key().ok_or(CallError::NoDirectory)?;
        let me = self.relay.identity.public_key();
        let assign = self.api().assignment(&directory, &me).await?;
        if assign.relay == me {
            self.directory.link().assignment = Some(Arc::new(assign));
        }
        Ok(())
    }

    async fn hear_of_others(&self) -> Result<(), MembershipError> {
        let me = self.relay.identity.public_key();
        let catalogs: Vec<_> = self.directory.link().catalogs.values().copied().collect();
        for catalog in catalogs {
            let inventories = self.api().holders(&catalog).await?;
            let inventories: Vec<Inventory> =
                inventories.iter().map(|inventory| inventory.value().clone()).collect();
            self.relay.peers.learn(catalog, &inventories, &me, self.relay.clock.now());
            if let Some(catalog) = self.relay.catalogs.get(&catalog) {
                catalog.introduction.heard(Instant::now());
            }
        }
        Ok(())
    }

    /// Notes something about the directory and makes it durable, on a blocking thread.
    async fn remember(
        &self,
        learn: impl FnOnce(&mut crate::acquaintance::Acquaintance) -> Result<(), Contradiction>,
    ) -> Result<(), MembershipError> {
        learn(&mut self.directory.acquaintance())?;
        let directory = Arc::clone(&self.directory);
        Ok(off_worker(move || directory.acquaintance().save()).await?)
    }

    fn signed<T: Statement>(&self, statement: T) -> Result<Vec<u8>, MembershipError> {
        let signer: &dyn Signer = self.relay.identity.signer();
        Ok(state(statement, signer)?)
    }

    fn api(&self) -> DirectoryApi<'_> {
        DirectoryApi { client: &self.relay.client, url: &self.directory.url }
    }
}

/// An answer that needs no warning.
fn never((): ()) -> Option<MembershipError> {
    None
}

impl Relay {
    /// What this relay says that it holds, as of now.
    ///
    /// # Errors
    /// The statement counter could not be kept.
    pub fn inventory(&self, now: Timestamp) -> Result<Inventory, IdentityError> {
        let mut catalogs: Vec<_> =
            self.catalogs.all().iter().filter_map(|catalog| catalog.inventory()).collect();
        catalogs.truncate(odi_wire::message::INVENTORY_CATALOGS_MAX);
        let mut caps = vec!["fill".to_owned()];
        let capacity = self.capacity(now);
        caps.extend(capacity.map(odi_wire::message::rate_cap));
        self.fill.says_rate(capacity);
        // Directories find others for what it does not take, where all would give up the same.
        let usable = self.usable_disk();
        caps.extend((usable < self.config.disk.0).then(|| room_cap(assignable_bytes(usable))));
        caps.extend(self.terms().vantage.then(|| VANTAGE.to_owned()));
        let banned = self.fill.sources().banned(now);
        let mut bans = self.peers.by_party(|party| banned.contains(party.as_str()));
        bans.truncate(odi_wire::message::BANS_MAX);
        Ok(Inventory {
            v: 1,
            relay: self.identity.public_key(),
            generation: self.identity.next_generation(now)?,
            t: now,
            exp: now.plus(INVENTORY_LIFE),
            bans,
            urls: self.config.public_urls.clone(),
            caps,
            catalogs,
        })
    }
}
