//! Wall and CPU time of this process and of the children it has waited for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What something took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    pub(super) user: Duration,
    pub(super) system: Duration,
}

/// Clock ticks as user space sees them: 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Whose CPU time counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Ours,
    Children,
}

impl Cost {
    /// Measures `work`.
    pub(super) fn of(whose: Whose, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (user, system) = cpu(whose)?;
        let start = Instant::now();
        work()?;
        let wall = start.elapsed();
        let (user_after, system_after) = cpu(whose)?;
        Ok(Self { wall, user: user_after.saturating_sub(user), system: system_after.saturating_sub(system) })
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (wall, user, system) =
            (self.wall.as_secs_f64(), self.user.as_secs_f64(), self.system.as_secs_f64());
        write!(f, "{wall:.2} s wall, {user:.2} s user, {system:.2} s system")
    }
}

fn cpu(whose: Whose) -> Result<(Duration, Duration)> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("read the process's CPU time")?;
    let (_, fields) = stat.rsplit_once(')').context("read the process's CPU time")?;
    let mut fields = fields.split_ascii_whitespace().skip(match whose {
        Whose::Ours => 11,
        Whose::Children => 13,
    });
    let mut next = || -> Result<Duration> {
        let ticks: u32 = fields.next().context("read the process's CPU time")?.parse()?;
        Ok(TICK * ticks)
    };
    Ok((next()?, next()?))
}
