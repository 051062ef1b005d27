//! Asking the configured directories whom they work together with, and remembering what they said.
//!
//! Who does not answer, or answers with another key than it has, has said nothing new: its former words stay, on disk too, so that
//! a relay that starts while they are all away still finds the others.

use std::path::Path;
use std::time::Duration;

use odi_wire::message::{PeerStatus, PublicUrl};
use odi_wire::off_worker::off_worker;
use odi_wire::private_file;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::directory::Directory;
use crate::directory_api::DirectoryApi;
use crate::following::jitter;
use crate::introduced::Words;
use crate::membership::MembershipError;
use crate::relay::Relay;

/// Between two questions, but for a jitter. As long as one of them does not answer, or not wholly, at first and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
/// How many jitters the pause differs by from relay to relay.
const JITTERS: u32 = 15;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the words are remembered, in the data folder.
const FILE: &str = "introductions.json";

/// What is remembered. A file that cannot be read is as if nobody had said anything.
#[must_use]
pub fn remembered(data_dir: &Path) -> Words {
    let path = data_dir.join(FILE);
    let read = private_file::read(&path).and_then(|text| match text {
        None => Ok(Words::default()),
        Some(text) => serde_json::from_slice(&text).map_err(Into::into),
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "what directories said of others is not remembered");
        Words::default()
    })
}

/// Asks again and again until `stop`, and at once when the operator has changed something.
pub async fn run(relay: std::sync::Arc<Relay>, stop: CancellationToken) {
    let mut changed = relay.directories.taken_over.listen();
    let asking = async {
        let mut pause = ASK_AGAIN.0;
        loop {
            if !relay.terms().federation || ask(&relay).await {
                pause = ASK_AGAIN.1;
            }
            pause = match tokio::time::timeout(pause + jitter() * JITTERS, changed.rung()).await {
                Ok(()) => ASK_AGAIN.0,
                Err(_) => (pause * 2).min(ASK_AGAIN.1),
            };
        }
    };
    stop.run_until_cancelled(asking).await;
}

/// Asks all of them once. Whether all answered, and said of each whose it is.
async fn ask(relay: &Relay) -> bool {
    let all = relay.directories.all();
    let configured: Vec<_> = all.iter().filter(|directory| !directory.is_introduced()).collect();
    let answers = configured.iter().map(|directory| tokio::time::timeout(PATIENCE, peers(relay, directory)));
    let answers = futures_util::future::join_all(answers).await;
    let before = relay.directories.words();
    let mut words = before.clone();
    let mut is_complete = true;
    for (directory, answer) in configured.iter().zip(answers) {
        match answer {
            Ok(Ok(said)) => {
                let said: Vec<_> = said.iter().filter_map(|peer| Some((url_of(peer)?, peer.id))).collect();
                is_complete &= words.hear(&directory.url, &said);
            }
            Ok(Err(error)) => {
                is_complete = false;
                let error = &error as &dyn std::error::Error;
                tracing::debug!(directory = %directory.url, error, "does not say whom it works together with");
            }
            Err(_) => is_complete = false,
        }
    }
    let introducers: Vec<PublicUrl> = configured.iter().map(|directory| directory.url.clone()).collect();
    let words = words.of(&introducers);
    if words != before {
        remember(&relay.config.data_dir, &words).await;
    }
    relay.directories.introduce(words);
    is_complete
}

/// Whom a directory names, if it is the one that is meant.
async fn peers(relay: &Relay, directory: &Directory) -> Result<Vec<PeerStatus>, MembershipError> {
    let status = DirectoryApi { client: &relay.client, url: &directory.url }.status().await?;
    directory.acquaintance().meet(status.id)?;
    Ok(status.peers)
}

/// In the spelling that all URLs here have.
fn url_of(peer: &PeerStatus) -> Option<PublicUrl> {
    let url: Url = peer.url.parse().ok()?;
    PublicUrl::parse(url.as_str()).ok()
}

async fn remember(data_dir: &Path, words: &Words) {
    let path = data_dir.join(FILE);
    let text = serde_json::to_vec_pretty(words).expect("its keys are texts");
    if let Err(error) = off_worker(move || private_file::replace(&path, &text)).await {
        tracing::warn!(%error, "cannot remember what directories said of others");
    }
}
