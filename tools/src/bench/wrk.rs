//! The client: `wrk`, which costs little itself.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

pub(super) const PROGRAM: &str = "wrk";

/// Requests go through the paths of a file in turn, each after a pause; at the end one line says what came of it.
const SCRIPT: &str = r#"
local requests, at, pause, calm, calls = {}, 0, 0, 0, 0
function init(args)
  for line in io.lines(args[1]) do
    local path, from = line:match("([^\t]*)\t?(.*)")
    requests[#requests + 1] = wrk.format("GET", path, from ~= "" and { ["X-Forwarded-For"] = from } or {})
  end
  pause, calm = tonumber(args[2]), tonumber(args[3])
end
function request()
  at = at % #requests + 1
  return requests[at]
end
if DELAY then
  function delay()
    calls = calls + 1
    if calls <= calm then return (calls * 4000) / calm end
    return pause
  end
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("outcome %d %d %d %d %d %d\n", summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// Scheme, host and port.
    pub(super) base: &'a str,
    /// Asked for in turn; after a tab, on whose behalf.
    pub(super) paths: &'a [String],
    pub(super) connections: u32,
    pub(super) seconds: u32,
    /// Each connection asks once, within four seconds, and then keeps silent.
    pub(super) idle: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) requests: f64,
    pub(super) bytes: f64,
    pub(super) seconds: f64,
    /// Milliseconds from request to the end of its answer.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Requests under way.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    idle: bool,
}

impl Load<'_> {
    /// Asks, and waits for the end.
    pub(super) fn run(&self, work: &Path) -> Result<Outcome> {
        self.start(work)?.outcome()
    }

    /// Asks on.
    pub(super) fn start(&self, work: &Path) -> Result<Running> {
        let folder = tempfile::tempdir_in(work).context("make a folder for wrk")?.keep();
        let (script, paths) = (folder.join("load.lua"), folder.join("paths"));
        fs::write(&script, SCRIPT.replace("if DELAY", if self.idle { "if true" } else { "if false" }))?;
        fs::write(&paths, self.paths.join("\n") + "\n")?;
        let mut command = Command::new(PROGRAM);
        command.args(["-t", "1", "--timeout", "30s"]);
        command.args(["-c", &self.connections.to_string(), "-d", &format!("{}s", self.seconds)]);
        command.arg("-s").arg(script).arg(self.base).arg("--").arg(paths);
        command.args([60_000.to_string(), self.connections.to_string()]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("start wrk")?;
        Ok(Running { child, idle: self.idle })
    }
}

impl Running {
    /// Waits for the end.
    pub(super) fn outcome(self) -> Result<Outcome> {
        let idle = self.idle;
        let output = self.child.wait_with_output().context("wait for wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("outcome "));
        let line = line.with_context(|| format!("wrk ended without an outcome: {text}"))?;
        let figures: Vec<f64> = line.split(' ').flat_map(str::parse).collect();
        let [requests, bytes, micros, errors, p50, p99] = figures[..] else {
            anyhow::bail!("wrk ended with `{line}`");
        };
        ensure!(idle || errors == 0.0, "{errors} requests failed");
        Ok(Outcome { requests, bytes, seconds: micros / 1e6, p50: p50 / 1e3, p99: p99 / 1e3 })
    }
}
