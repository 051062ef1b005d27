//! What a peer passes on about relays: the statements that are missed here, and what directories hold against relays.
//!
//! A peer that passes on what nobody said is left alone for longer and longer; nothing of it counts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use odi_manifest::{BlobId, PublicKey, Timestamp, Verified};
use odi_wire::chain;
use odi_wire::client::Ask;
use odi_wire::http::StatusCode;
use odi_wire::message::{Audit, CBOR, Deny, Inventory, PASSED_BYTES_MAX, encode_wanted, open, split_passed};
use odi_wire::off_worker::off_worker;
use odi_wire::route::API_PREFIX;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::missed::{self, Asked, Silent};
use super::{LONG_POLL, PACE, Peer, RETRY};
use crate::directory::Directory;
use crate::roster::{Announced, Announcement, Came, Event, Member, RosterRefusal};

/// How often it is looked whether a relay is missed.
const LOOK: Duration = Duration::from_secs(1);

/// Asks a peer for what is missed here, and listens to what it holds against relays, until `stop` is cancelled.
pub(crate) async fn follow(directory: Arc<Directory>, peer: Arc<Peer>, stop: CancellationToken) {
    let statements = async {
        let (mut asked, mut retry) = (Asked::default(), RETRY.0);
        loop {
            let asking = ask_for_missed(&directory, &peer, &mut asked).await;
            tokio::time::sleep(peer.passed_on(Passing::Statements, asking, LOOK, &mut retry)).await;
        }
    };
    let reports = async {
        let (mut known, mut retry) = (None, RETRY.0);
        loop {
            let heard = listen(&directory, &peer, &mut known).await;
            if heard.is_err() {
                known = None;
            }
            tokio::time::sleep(peer.passed_on(Passing::Reports, heard, PACE, &mut retry)).await;
        }
    };
    stop.run_until_cancelled(async { tokio::join!(statements, reports) }).await;
}

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Passing {
    Statements,
    Reports,
}

impl Peer {
    /// Notes how an exchange went; how long to wait for the next. A fault is told once as long as it stays the same.
    fn passed_on(
        &self,
        what: Passing,
        outcome: Result<u64, String>,
        pause: Duration,
        retry: &mut Duration,
    ) -> Duration {
        let mut standing = self.standing();
        match outcome {
            Ok(count) => {
                standing.passed += count;
                standing.passing_faults.remove(&what);
                *retry = RETRY.0;
                pause
            }
            Err(fault) => {
                if standing.passing_faults.get(&what) != Some(&fault) {
                    tracing::warn!(peer = %self.url, fault, "what a peer passes on is not taken");
                }
                standing.passing_faults.insert(what, fault);
                let pause = *retry;
                *retry = (*retry * 2).min(RETRY.1);
                pause
            }
        }
    }

    fn api(&self, rest: &str) -> Result<Url, String> {
        self.url.join(&format!("{API_PREFIX}{rest}")).map_err(|error| error.to_string())
    }
}

/// Asks for the relays that are missed now, if any is; how many came.
async fn ask_for_missed(directory: &Arc<Directory>, peer: &Peer, asked: &mut Asked) -> Result<u64, String> {
    let now = directory.clock.now();
    let wanted = asked.due(&silent(directory, now), now);
    if wanted.is_empty() {
        return Ok(0);
    }
    let body = encode_wanted(&wanted).map_err(|error| error.to_string())?;
    let ask = Ask::post(&peer.api("relays/statements")?, CBOR, body);
    let answer = answered(directory, ask).await?.ok_or("it answers with nothing")?;
    let newer = off_worker(move || missed::read(&answer, &wanted, now)).await;
    let mut came = 0;
    for announcement in newer.map_err(|fault| chain::of(&fault))? {
        let relay = announcement.inventory.relay;
        match directory.hear(announcement, Came::PassedOn, now).await {
            Ok(Announced::Lease { .. }) => came += 1,
            Ok(Announced::Unknown | Announced::Unproven) => {}
            // It announced itself meanwhile, or left, or says other things there: no fault of who passes it on.
            Err(refusal) => tracing::debug!(%relay, %refusal, "a statement that was passed on is not taken"),
        }
    }
    if came > 0 {
        directory.relays_due.notify_one();
    }
    Ok(came)
}

fn silent(directory: &Directory, now: Timestamp) -> Vec<Silent> {
    let roster = directory.relays.roster();
    let silent = |member: &Member| {
        let silence = member.silent_for(now)?;
        Some(Silent { relay: member.relay(), generation: member.inventory_generation(), silence })
    };
    roster.members().filter_map(silent).collect()
}

/// Waits until a peer has other reports than are known, and takes them.
async fn listen(directory: &Arc<Directory>, peer: &Peer, known: &mut Option<BlobId>) -> Result<u64, String> {
    if known.is_none() {
        peer.identify(directory).await?;
    }
    let query = known.map(|hash| format!("?unlike={hash}&wait={}", LONG_POLL.as_secs())).unwrap_or_default();
    let ask = Ask::get(&peer.api(&format!("relays/reports{query}"))?);
    let Some(answer) = answered(directory, ask).await? else { return Ok(0) };
    *known = Some(BlobId::of(&answer));
    let read = off_worker(move || {
        let envelopes = split_passed(&answer).map_err(|error| error.to_string())?;
        envelopes.into_iter().map(read).collect::<Result<Vec<_>, String>>()
    });
    let now = directory.clock.now();
    let peers: Vec<PublicKey> = directory.peers.iter().filter_map(|peer| peer.id()).collect();
    let mut changed = false;
    for report in read.await? {
        changed |= match report {
            (Report::Deny(list), envelope) if peers.contains(&list.dir) => {
                take_list(directory, &list, envelope, now).await
            }
            (Report::Audit(audit), envelope) if peers.contains(&audit.by) => {
                take_audit(directory, &audit, envelope, now).await
            }
            _ => false,
        };
    }
    if changed {
        directory.reports.publish();
        directory.relays_due.notify_one();
    }
    Ok(0)
}

/// What a directory says against relays.
enum Report {
    Deny(Verified<Deny>),
    Audit(Box<Verified<Audit>>),
}

fn read(envelope: &[u8]) -> Result<(Report, Bytes), String> {
    let report = match open::<Deny>(envelope) {
        Ok(list) => Report::Deny(list),
        // Whatever is no list is an audit, or nothing.
        Err(_) => Report::Audit(Box::new(open::<Audit>(envelope).map_err(|error| chain::of(&error))?)),
    };
    Ok((report, Bytes::copy_from_slice(envelope)))
}

/// Takes a list of relays that an operator shut out. Whether it is a newer one.
async fn take_list(directory: &Directory, list: &Verified<Deny>, envelope: Bytes, now: Timestamp) -> bool {
    let taken = directory.reports.heard().take(list, envelope, now);
    for relay in taken.iter().flatten() {
        let denied = list.relays.iter().find(|denied| denied.relay == *relay);
        let why = denied.and_then(|denied| denied.why.as_ref()).map(|why| format!(": {why}"));
        let words =
            format!("directory {} shut it out{}; it is looked at anew", list.dir, why.unwrap_or_default());
        tracing::info!(%relay, by = %list.dir, "another directory shut a relay out");
        directory.relays.on(relay, Event::Reported(&words), now).await;
    }
    taken.is_some()
}

/// Takes what another directory saw. Whether it is news.
async fn take_audit(directory: &Directory, audit: &Verified<Audit>, envelope: Bytes, now: Timestamp) -> bool {
    let is_news = directory.reports.heard().take_audit(audit, envelope, now);
    if is_news {
        let words = format!("directory {} saw it give wrong bytes; it is looked at anew", audit.by);
        tracing::info!(relay = %audit.relay, by = %audit.by, url = audit.url, "another directory saw a relay give wrong bytes");
        directory.relays.on(&audit.relay, Event::Reported(&words), now).await;
    }
    is_news
}

/// The body of a 200; `None` for a 204.
async fn answered(directory: &Directory, ask: Ask) -> Result<Option<Bytes>, String> {
    let ask = ask.reply_bytes_max(PASSED_BYTES_MAX as u64);
    let reply = directory.client.send(ask).await.map_err(|error| chain::innermost(&error))?;
    match reply.status {
        StatusCode::OK => {
            let body = reply.body.collect().await.map_err(|error| chain::innermost(&error))?;
            Ok(Some(body))
        }
        StatusCode::NO_CONTENT => Ok(None),
        status => Err(format!("it answers {status}")),
    }
}

impl Directory {
    /// Takes an inventory whose signature and expiry were checked, and counts what it says that was given.
    pub(crate) async fn hear(
        &self,
        announcement: Announcement,
        came: Came,
        now: Timestamp,
    ) -> Result<Announced, RosterRefusal> {
        let inventory = Arc::clone(&announcement.inventory);
        let announced = self.relays.announce(&inventory.relay, announcement, came, now).await?;
        if matches!(announced, Announced::Lease { .. }) {
            self.count_sent(&inventory, now);
        }
        Ok(announced)
    }

    fn count_sent(&self, inventory: &Inventory, now: Timestamp) {
        let configured = self.configured.now();
        let mut counts = self.statistics.counts();
        let followed = inventory.catalogs.iter().filter(|said| configured.contains_key(&said.cat));
        for (catalog, sent) in followed.filter_map(|said| Some((said.cat, said.sent?))) {
            counts.hear(inventory.relay, catalog, sent, now);
        }
    }
}
