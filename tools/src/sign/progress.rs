//! A progress bar for work that takes long, on a terminal only, on standard error only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar may redraw, per second.
const REDRAWS: u8 = 5;

/// Told how far the hashing is.
pub trait Progress: Sync {
    /// So many files with so many bytes will be read.
    fn begin(&self, files: u64, bytes: u64);
    /// So many bytes more were read.
    fn advance(&self, bytes: u64);
    /// The reading is over.
    fn end(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}

/// A bar on standard error if that is a terminal.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

/// Less than this is over before anyone could read it.
const WORTH_A_BAR_BYTES: u64 = 256 << 20;

impl Default for Bar {
    fn default() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = "hashing {bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress for Bar {
    fn begin(&self, _files: u64, bytes: u64) {
        self.0.set_length(bytes);
        if bytes >= WORTH_A_BAR_BYTES && std::io::stderr().is_terminal() {
            self.0.set_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
            self.0.enable_steady_tick(Duration::from_millis(500));
        }
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
