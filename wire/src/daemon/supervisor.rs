//! What a daemon tells systemd, if systemd started it: that it is ready, reloads, leaves, and is alive.

use std::time::Duration;

use sd_notify::NotifyState;

/// The supervisor that started this process, if any; without one nothing here does anything.
#[derive(Debug)]
pub struct Supervisor {
    /// Between two signs of life, if they are asked for: half of the time after which the process counts as hung.
    beat: Option<Duration>,
}

impl Supervisor {
    /// Reads what the environment says.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut micros = 0;
        let watches = sd_notify::watchdog_enabled(false, &mut micros);
        Self { beat: watches.then(|| Duration::from_micros(micros / 2)) }
    }

    /// The daemon serves; also said after a reload.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The daemon reads its configuration again.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the supervisor is not told of the reload"),
        }
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Waits for the next sign of life and gives it; for ever where none is asked for. To be awaited where the daemon's own
    /// events are, so that a daemon that hangs gives none.
    pub async fn beat(&self) {
        match self.beat {
            Some(beat) => {
                tokio::time::sleep(beat).await;
                tell(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}
