//! Every bound of the roster, in one place.

use std::time::Duration;

/// How many relays, how often, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterLimits {
    /// Relays in all.
    pub relays: usize,
    /// Relays that registered from one network (/24 or /48).
    pub relays_per_network: usize,
    /// Of those, how many may wait for their challenge at once.
    pub unproven_per_network: usize,
    /// How long a relay counts as alive after an inventory.
    pub lease: Duration,
    /// Challenges sent for one registration before it is dropped. With the doubled waits that is about ten minutes.
    pub challenges: u32,
    /// Challenges that one host gets at once, whoever registered it.
    pub host_challenges: u32,
    /// How many more it gets in a minute.
    pub host_challenges_per_minute: u32,
    /// The wait after the first failed challenge or probe; it doubles.
    pub retry: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
    /// How long a challenge or probe may be under way before it counts as lost.
    pub under_way: Duration,
    /// The wait after the first failed self-test; it doubles.
    pub test_retry: Duration,
    /// The longest such wait.
    pub test_retry_max: Duration,
    /// How long a self-test may be under way before it counts as lost.
    pub test_under_way: Duration,
    /// Probes in a row that have to match before a relay on probation is ready.
    pub probation_probes: u32,
    /// When a relay on probation is probed again after a probe matched.
    pub probation_every: Duration,
    /// When a ready relay is.
    pub probe_every: Duration,
    /// How long a relay is left alone after a probe, whoever complains of it.
    pub doubt_every: Duration,
    /// The longest wait for the next probe of one that a client complained of and that fails.
    pub doubted_retry_max: Duration,
    /// How long a matched probe lets traffic be sent.
    pub probe_valid: Duration,
    /// Failed probes in a row after which nothing is sent there, even within `probe_valid`.
    pub probe_failures: u32,
    /// How often the word of another directory may make a probe of a relay due.
    pub reported_every: Duration,
    /// How long a relay that gave wrong bytes is shut out.
    pub quarantine: Duration,
    /// After how long a silence a proved relay is forgotten.
    pub forget: Duration,
    /// Challenges and probes started in one sweep.
    pub due_at_once: usize,
}

impl RosterLimits {
    /// On the open network.
    #[must_use]
    pub const fn open_network() -> Self {
        Self {
            relays: 20_000,
            relays_per_network: 64,
            unproven_per_network: 8,
            lease: Duration::from_secs(60),
            challenges: 8,
            host_challenges: 64,
            host_challenges_per_minute: 12,
            retry: Duration::from_secs(5),
            retry_max: Duration::from_secs(300),
            under_way: Duration::from_secs(60),
            test_retry: Duration::from_secs(30),
            test_retry_max: Duration::from_secs(3600),
            test_under_way: Duration::from_secs(900),
            probation_probes: 10,
            probation_every: Duration::from_secs(60),
            probe_every: Duration::from_secs(120),
            doubt_every: Duration::from_secs(5),
            doubted_retry_max: Duration::from_secs(20),
            probe_valid: Duration::from_secs(300),
            probe_failures: 3,
            reported_every: Duration::from_secs(600),
            quarantine: Duration::from_secs(3600),
            forget: Duration::from_secs(7 * 86_400),
            due_at_once: 64,
        }
    }

    /// In a laboratory: the same checks, in seconds.
    #[must_use]
    pub const fn laboratory() -> Self {
        Self {
            test_retry: Duration::from_secs(1),
            test_retry_max: Duration::from_secs(30),
            probation_probes: 3,
            probation_every: Duration::ZERO,
            ..Self::open_network()
        }
    }
}

impl Default for RosterLimits {
    fn default() -> Self {
        Self::open_network()
    }
}
