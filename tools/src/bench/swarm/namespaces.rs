//! Network namespaces on one bridge, each with a shaped link of its own. Needs root and `ip` and `tc`; all of it goes when
//! this is dropped.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The network of the bridge; each namespace has a /24 of it to itself, as hosts of strangers would.
const NETWORK: [u8; 2] = [10, 77];

/// A bridge and its namespaces.
pub(super) struct Namespaces {
    bridge: String,
    names: Vec<String>,
}

/// What a link carries, in bits per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) up: u64,
    pub(super) down: u64,
}

impl Namespaces {
    /// A bridge without namespaces.
    ///
    /// # Errors
    /// It cannot be made here: not root, no kernel support, or `ip` is missing.
    pub(super) fn new() -> Result<Self> {
        let bridge = format!("odi{}", std::process::id() % 1_000_000);
        let made = Self { bridge, names: Vec::new() };
        let bridge = &made.bridge;
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip addr add {}/16 dev {bridge}", made.outside()))?;
        run(&format!("ip link set {bridge} up"))?;
        run(&format!("ip netns add {bridge}-probe"))?;
        run(&format!("ip netns del {bridge}-probe"))?;
        Ok(made)
    }

    /// The address of this machine on the bridge.
    pub(super) const fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(NETWORK[0], NETWORK[1], 0, 1)
    }

    /// Adds a namespace behind a link, and returns its number and address.
    pub(super) fn add(&mut self, link: Link) -> Result<(usize, Ipv4Addr)> {
        let number = self.names.len();
        let host = u8::try_from(number + 1).context("too many namespaces")?;
        let address = Ipv4Addr::new(NETWORK[0], NETWORK[1], host, 1);
        let name = format!("{}-{number}", self.bridge);
        let port = format!("{}p{number}", self.bridge);
        run(&format!("ip netns add {name}"))?;
        self.names.push(name.clone());
        run(&format!("ip link add {port} type veth peer name eth0 netns {name}"))?;
        run(&format!("ip link set {port} master {} up", self.bridge))?;
        run(&format!("ip -n {name} addr add {address}/16 dev eth0"))?;
        run(&format!("ip -n {name} link set eth0 up"))?;
        run(&format!("ip -n {name} link set lo up"))?;
        run(&format!("tc qdisc add dev {port} root tbf rate {}bit burst 64kb latency 100ms", link.down))?;
        run(&format!(
            "tc -n {name} qdisc add dev eth0 root tbf rate {}bit burst 64kb latency 100ms",
            link.up
        ))?;
        Ok((number, address))
    }

    /// A command that runs inside.
    pub(super) fn command(&self, number: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec"]).args(self.names.get(number)).arg(program);
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = run(&format!("ip netns del {name}"));
        }
        let _ = run(&format!("ip link del {}", self.bridge));
    }
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
