//! A bell that any number of tasks listen to: ringing is never lost and never waits.

use tokio::sync::watch;

/// The ringing side.
#[derive(Debug, Default)]
pub struct Bell(watch::Sender<u64>);

/// The hearing side. What rang before it was made is not heard.
#[derive(Clone, Debug)]
pub struct Ear(watch::Receiver<u64>);

impl Bell {
    /// Wakes every listener; several rings before one wakes count as one.
    pub fn ring(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Begins to listen.
    #[must_use]
    pub fn listen(&self) -> Ear {
        Ear(self.0.subscribe())
    }
}

impl Ear {
    /// Waits for a ring since the last call; for ever once the bell is gone.
    pub async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_while_nobody_waits_is_heard_once() {
        let bell = Bell::default();
        let mut ear = bell.listen();
        bell.ring();
        bell.ring();
        ear.rung().await;
        let again = tokio::time::timeout(std::time::Duration::ZERO, ear.rung()).await;
        assert!(again.is_err());
    }
}
