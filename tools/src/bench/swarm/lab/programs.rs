//! The programs of a round: how they are configured, started and ended.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::super::gate::Mischief;
use super::super::namespaces::Link;
use super::places::{Places, address, url};
use super::{Lab, NAME, RelayPlace};

const MISCHIEFS: [Mischief; 4] = [Mischief::Flip, Mischief::Truncate, Mischief::Stall, Mischief::Length];

/// A process that ends with the bench.
pub(super) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    pub(super) fn place_relays(&mut self, first_port: u16) -> Result<()> {
        let link = Link { up: self.start.link_bits, down: self.start.link_bits };
        let mut places = Places { namespaces: self.namespaces.take(), next_port: first_port };
        for number in 0..self.start.relays {
            let (at, _) = places.place(link)?;
            // Liars are spread over the list: one in four.
            let liar = number % 4 == 3 && number / 4 < self.start.hostile;
            let mischief = MISCHIEFS.get(number / 4 % MISCHIEFS.len()).copied().filter(|_| liar);
            let data = self.folder.join(format!("relay-{number}"));
            self.relays.push(RelayPlace { url: url(at)?, data, mischief });
        }
        self.namespaces = places.namespaces;
        Ok(())
    }

    pub(super) fn start_relays(&mut self) -> Result<()> {
        for number in 0..self.relays.len() {
            let Some(place) = self.relays.get(number) else { break };
            let (public, mischief, data) = (place.url.clone(), place.mischief, place.data.clone());
            let rate = self.namespaces.is_none().then_some(self.start.link_bits);
            let at = address(&public)?;
            let gated = mischief.is_some() || rate.is_some();
            let listen = if gated { SocketAddr::new(at.ip(), at.port() + 1000) } else { at };
            // Namespace 0 is the origin's.
            let namespace = self.namespaces.as_ref().map(|_| number + 1);
            if gated {
                self.gate(at, namespace, &format!("http://{listen}/"), rate, mischief)?;
            }
            let config = format!(
                "data_dir = {data:?}\nlisten = [\"{listen}\"]\npublic_urls = [\"http://{at}\"]\ndisk = \"20 GB\"\nbandwidth = \"{} Mbit/s\"\n[[directory]]\nurl = \"{}\"\ncatalogs = [\"*\"]\n",
                self.start.link_bits / 1_000_000,
                self.directory.as_str().trim_end_matches('/'),
            );
            self.daemon("odi-relayd", &format!("relay-{number}"), namespace, &config)?;
        }
        Ok(())
    }

    pub(super) fn start_directory(&mut self, at: SocketAddr) -> Result<()> {
        let config = format!(
            "data_dir = {:?}\nlisten = [\"{at}\"]\npublic_urls = [\"http://{at}\"]\ncarry = \"0 B\"\n[[catalog]]\nname = \"{NAME}\"\nid = \"{}\"\norigin = \"{}\"\npoll = \"5m\"\n",
            self.folder.join("directory"),
            self.catalog.id,
            self.origin,
        );
        self.daemon("odi-directoryd", "directory", None, &config)
    }

    pub(super) fn gate(
        &mut self,
        at: SocketAddr,
        namespace: Option<usize>,
        behind: &str,
        rate: Option<u64>,
        mischief: Option<Mischief>,
    ) -> Result<()> {
        let mut command = self.command(namespace, &std::env::current_exe()?);
        command.args(["bench", "swarm", "--gate", &at.to_string(), "--behind", behind]);
        if let Some(rate) = rate {
            command.args(["--gate-rate", &rate.to_string()]);
        }
        if let Some(mischief) = mischief {
            command.args(["--mischief", &format!("{mischief:?}").to_lowercase()]);
        }
        self.spawn(command, &format!("gate-{}", at.port()))?;
        if namespace.is_none() {
            wait_for_port(at)?;
        }
        Ok(())
    }

    fn daemon(&mut self, program: &str, name: &str, namespace: Option<usize>, config: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.toml"));
        std::fs::write(&file, config)?;
        let program = std::env::current_exe()?.with_file_name(program);
        let mut command = self.command(namespace, &program);
        command.arg("--config").arg(file).arg("--allow-private-addresses");
        self.spawn(command, name)
    }

    fn command(&self, namespace: Option<usize>, program: &Path) -> Command {
        match (&self.namespaces, namespace) {
            (Some(namespaces), Some(number)) => namespaces.command(number, program),
            _ => Command::new(program),
        }
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Result<()> {
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.daemons.push(Daemon(child.with_context(|| format!("start {name}"))?));
        Ok(())
    }
}

fn wait_for_port(at: SocketAddr) -> Result<()> {
    for _ in 0..100 {
        if TcpStream::connect(at).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nothing listens at {at}")
}
