//! The secret that this relay shares with one directory, and how another takes its place.
//!
//! Pure. A registration carries the secret of its time, and whatever a directory signs names that registration's generation
//! (wire/PROTOCOL.md § Signed requests). So two are good side by side while one takes the other's place:
//!
//! | a crash after | leaves |
//! |---|---|
//! | the new one was written | both; the registration at the next start carries the new one |
//! | the directory took it, and before it used it | the same |
//! | the directory lost it again within a day | both; what it signs names the former generation until it is told again |

use std::time::Duration;

use odi_manifest::Timestamp;
use odi_wire::identity_key::secret;
use odi_wire::message::PreSharedKey;
use serde::{Deserialize, Serialize};

/// The age at which a secret is replaced: 90 days.
pub const REPLACED_AFTER: Duration = Duration::from_secs(90 * 86_400);
/// How long the former one is good once the directory has used the new one: what it lost in a crash comes back within that.
pub const FORMER_FOR: Duration = Duration::from_secs(86_400);

/// See the module.
#[derive(Debug)]
pub struct SharedSecret {
    present: PreSharedKey,
    /// Unknown in records from before secrets were replaced.
    since: Option<Timestamp>,
    former: Option<Former>,
}

#[derive(Debug)]
struct Former {
    psk: PreSharedKey,
    /// It is that of registrations below this generation.
    below: u64,
    /// Set once the directory has used the present one.
    until: Option<Timestamp>,
}

/// The same on disk.
#[derive(Serialize, Deserialize)]
pub struct SecretRecord {
    psk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    psk_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<FormerRecord>,
}

#[derive(Serialize, Deserialize)]
struct FormerRecord {
    psk: String,
    below: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl SharedSecret {
    /// The first one, from random bytes.
    #[must_use]
    pub fn new(fresh: [u8; 32]) -> Self {
        Self { present: PreSharedKey::from_bytes(fresh), since: None, former: None }
    }

    /// What a record says; `None` if that is no secret.
    #[must_use]
    pub fn read(record: &SecretRecord) -> Option<Self> {
        let read = |text: &str| secret(text.as_bytes()).map(|bytes| PreSharedKey::from_bytes(*bytes));
        let former = match &record.former {
            Some(former) => {
                Some(Former { psk: read(&former.psk)?, below: former.below, until: former.until })
            }
            None => None,
        };
        Some(Self { present: read(&record.psk)?, since: record.psk_since, former })
    }

    /// For the disk, and nothing else.
    #[must_use]
    pub fn record(&self) -> SecretRecord {
        let text = |psk: &PreSharedKey| data_encoding::HEXLOWER.encode(psk.expose());
        let former = self.former.as_ref().map(|former| FormerRecord {
            psk: text(&former.psk),
            below: former.below,
            until: former.until,
        });
        SecretRecord { psk: text(&self.present), psk_since: self.since, former }
    }

    /// What registrations carry now.
    #[must_use]
    pub const fn present(&self) -> &PreSharedKey {
        &self.present
    }

    /// What a registration of that generation carried, while that is good.
    #[must_use]
    pub fn of(&self, generation: u64, now: Timestamp) -> Option<&PreSharedKey> {
        match self.former.as_ref().filter(|former| generation < former.below) {
            Some(former) => former.until.is_none_or(|until| now < until).then_some(&former.psk),
            None => Some(&self.present),
        }
    }

    /// Begins to count its age, if that is not known. Whether this is news.
    pub const fn count_age(&mut self, now: Timestamp) -> bool {
        let is_news = self.since.is_none();
        if is_news {
            self.since = Some(now);
        }
        is_news
    }

    /// Whether it is time for another one. Not before the directory has used this one: it would be told of both.
    #[must_use]
    pub fn is_old(&self, now: Timestamp) -> bool {
        !self.is_untold() && self.since.is_some_and(|since| now.since(since) > REPLACED_AFTER)
    }

    /// Whether the directory has not used the present one since it took the former one's place.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.former.as_ref().is_some_and(|former| former.until.is_none())
    }

    /// Puts another one in its place: that of registrations from this generation on.
    pub fn replace(&mut self, fresh: [u8; 32], from: u64, now: Timestamp) {
        let psk = std::mem::replace(&mut self.present, PreSharedKey::from_bytes(fresh));
        self.former = Some(Former { psk, below: from, until: None });
        self.since = Some(now);
    }

    /// The directory has signed something by a registration of that generation, which it has taken. Whether this is news.
    pub fn used(&mut self, generation: u64, now: Timestamp) -> bool {
        let Some(former) = self.former.as_mut() else { return false };
        match former.until {
            None if generation >= former.below => former.until = Some(now.plus(FORMER_FOR)),
            Some(until) if now >= until => self.former = None,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn days(days: u64) -> Timestamp {
        Timestamp(1_800_000_000 + days * DAY)
    }

    fn good(secret: &SharedSecret, generation: u64, now: Timestamp) -> Option<u8> {
        secret.of(generation, now).map(|psk| psk.expose()[0])
    }

    #[test]
    fn the_former_is_good_until_a_day_after_the_directory_used_the_new_one() {
        let mut secret = SharedSecret::new([1; 32]);
        assert!(secret.count_age(days(0)) && !secret.count_age(days(1)));
        assert!(!secret.is_old(days(90)) && secret.is_old(Timestamp(days(90).0 + 1)));
        secret.replace([2; 32], 100, days(91));
        assert_eq!(secret.present().expose()[0], 2);
        assert_eq!((good(&secret, 99, days(400)), good(&secret, 100, days(400))), (Some(1), Some(2)));
        assert!(secret.is_untold() && !secret.is_old(days(400)), "first it has to be told of this one");
        assert!(!secret.used(99, days(92)), "the former is no sign of it");
        assert!(secret.used(100, days(92)) && !secret.is_untold());
        assert_eq!(good(&secret, 99, days(92)), Some(1));
        assert_eq!((good(&secret, 99, days(93)), good(&secret, 101, days(93))), (None, Some(2)));
        assert!(!secret.used(101, Timestamp(days(93).0 - 1)));
        assert!(secret.used(101, days(93)), "the former is forgotten");
        assert!(secret.record().former.is_none());
        assert!(secret.is_old(days(182)));
    }

    #[test]
    fn it_comes_back_from_the_disk_in_every_state() {
        let mut secret = SharedSecret::new([1; 32]);
        let same = |secret: &SharedSecret| {
            let text = serde_json::to_string(&secret.record()).unwrap();
            let again = SharedSecret::read(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&again.record()).unwrap(), text);
        };
        same(&secret);
        secret.count_age(days(0));
        same(&secret);
        secret.replace([2; 32], 7, days(91));
        same(&secret);
        secret.used(7, days(92));
        same(&secret);
        let short = SecretRecord { psk: "12".to_owned(), psk_since: None, former: None };
        assert!(SharedSecret::read(&short).is_none());
    }
}
