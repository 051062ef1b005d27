//! How far the programs of a round are, as they say themselves.

use anyhow::{Result, bail};
use odi_wire::client::Ask;
use odi_wire::message::{DirectoryStatus, RelayStatus};
use tokio::time::Instant;
use url::Url;

use super::super::gate::COUNT;
use super::{LOOK, Lab, NAME, RelayPlace};

const STATUS_BYTES_MAX: u64 = 8 << 20;

impl Lab {
    pub(super) async fn until<F>(&self, what: &str, holds: F) -> Result<()>
    where
        F: for<'l> Fn(&'l Self) -> std::pin::Pin<Box<dyn Future<Output = bool> + 'l>>,
    {
        let deadline = Instant::now() + self.start.patience;
        while !holds(self).await {
            if Instant::now() > deadline {
                bail!("it never came true that {what}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub(super) async fn directory_follows(&self, seq: u64) -> bool {
        let status = self.status::<DirectoryStatus>(&self.directory).await;
        status.is_ok_and(|status| {
            status.catalogs.iter().any(|catalog| catalog.adopted.as_ref().is_some_and(|head| head.seq >= seq))
        })
    }

    pub(super) async fn all_hold(&self, seq: u64) -> bool {
        for relay in &self.relays {
            if !self.reached(relay, seq).await.1 {
                return false;
            }
        }
        true
    }

    /// Whether a relay follows a state, and whether it holds all of it.
    pub(super) async fn reached(&self, relay: &RelayPlace, seq: u64) -> (bool, bool) {
        let Ok(status) = self.status::<RelayStatus>(&relay.url).await else { return (false, false) };
        let ours = status.catalogs.iter().find(|catalog| catalog.name == NAME);
        let serves = ours.and_then(|catalog| catalog.served.as_ref()).is_some_and(|head| head.seq >= seq);
        let holds = ours.and_then(|catalog| catalog.full).is_some_and(|pin| pin.seq() >= seq);
        (serves, holds)
    }

    pub(super) async fn origin_bytes(&self) -> Result<u64> {
        let url = self.origin.join(COUNT)?;
        let reply = self.client.send(Ask::get(&url)).await?;
        Ok(std::str::from_utf8(&reply.body.collect().await?)?.parse()?)
    }

    pub(super) async fn status<T: serde::de::DeserializeOwned>(&self, base: &Url) -> Result<T> {
        let url = base.join("odi/v1/status")?;
        let reply = self.client.send(Ask::get(&url).reply_bytes_max(STATUS_BYTES_MAX)).await?;
        Ok(serde_json::from_slice(&reply.body.collect().await?)?)
    }
}
