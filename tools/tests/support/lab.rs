//! Two directories and three relays, the real programs on loopback, and the maintainer's web server. Each relay stands behind a [`Gate`].

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odi_fixtures::free_port;
use odi_tools::demo::Origin;
use odi_wire::client::{Ask, Client, ClientPolicy};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::gate::{Fuse, Gate};
use crate::programs::PROGRAMS;

const DIRECTORIES: usize = 2;
const RELAYS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(100);

/// An address in a network of its own: a client that gives up an address must not give up everybody.
fn address(number: usize) -> SocketAddr {
    (Ipv4Addr::new(127, 0, u8::try_from(number).unwrap() + 1, 1), free_port()).into()
}

/// The network, which ends with it.
#[allow(dead_code, reason = "each test binary uses some of it")]
pub(crate) struct Lab {
    folder: PathBuf,
    runtime: Runtime,
    client: Client,
    origin: Origin,
    directories: Vec<(SocketAddr, Option<Child>)>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) fuse: Arc<Fuse>,
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Lab {
    /// Serves `tree`, which need not be there yet, and reserves what addresses the network will have.
    pub(crate) fn new(folder: &Path, tree: PathBuf) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let policy = ClientPolicy { allow_private_addresses: true, ..ClientPolicy::default() };
        let client = Client::new(policy).unwrap();
        let origin = runtime.block_on(Origin::start(tree)).unwrap();
        let directories = (0..DIRECTORIES).map(|number| (address(number), None)).collect();
        let (folder, gates, fuse) = (folder.to_owned(), Vec::new(), Arc::default());
        Self { folder, runtime, client, origin, directories, gates, fuse }
    }

    /// The maintainer's web server, with a slash at its end.
    pub(crate) fn origin(&self) -> String {
        self.origin.url()
    }

    /// A directory, without a slash.
    pub(crate) fn directory(&self, number: usize) -> String {
        format!("http://{}", self.directories[number].0)
    }

    /// Starts everything for one catalog, and waits until clients are sent to all relays.
    pub(crate) fn start(&mut self, name: &str, id: &str) {
        for number in 0..DIRECTORIES {
            let (own, peer) = (self.directory(number), self.directory(1 - number));
            let config = format!(
                "[[catalog]]\nname = \"{name}\"\nid = \"{id}\"\norigin = \"{}\"\npoll = \"2s\"\n[[peer]]\nurl = \"{peer}\"\n",
                self.origin()
            );
            let name = format!("directory-{number}");
            self.write_config(&name, &own, &own, &config);
            self.directories[number].1 = Some(self.daemon("odi-directoryd", &name));
        }
        // A relay looks at what is offered when it comes, and then once a minute.
        self.until_nobody_is_late(async |lab| lab.directory_late(1, 0).await);
        let mut config = "disk = \"4 GB\"\n".to_owned();
        for number in 0..DIRECTORIES {
            let url = self.directory(number);
            writeln!(config, "[[directory]]\nurl = \"{url}\"\ncatalogs = [\"*\"]").unwrap();
        }
        for number in 0..RELAYS {
            let behind = address(DIRECTORIES + number);
            let gate = Gate::start(address(DIRECTORIES + number), behind, &self.fuse);
            let (public, listen) = (format!("http://{}", gate.addr), format!("http://{behind}"));
            let name = format!("relay-{number}");
            self.write_config(&name, &public, &listen, &config);
            gate.guard(self.daemon("odi-relayd", &name));
            self.gates.push(gate);
        }
    }

    fn write_config(&self, name: &str, public: &str, listen: &str, config: &str) {
        let (data, listen) = (self.folder.join(name), listen.trim_start_matches("http://"));
        let text =
            format!("data_dir = {data:?}\nlisten = [\"{listen}\"]\npublic_urls = [\"{public}\"]\n{config}");
        fs::write(self.folder.join(format!("{name}.toml")), text).unwrap();
    }

    fn daemon(&self, program: &str, name: &str) -> Child {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(PROGRAMS.join(program));
        command.args(["--allow-private-addresses", "--config"]).arg(self.folder.join(format!("{name}.toml")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// `kill -9` of a directory.
    pub(crate) fn kill_directory(&mut self, number: usize) {
        if let Some(mut child) = self.directories[number].1.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts again whoever died, on what its disk has.
    pub(crate) fn revive(&mut self) {
        for number in 0..DIRECTORIES {
            if self.directories[number].1.is_none() {
                self.directories[number].1 =
                    Some(self.daemon("odi-directoryd", &format!("directory-{number}")));
            }
        }
        for (number, gate) in self.gates.iter().enumerate().filter(|(_, gate)| gate.is_dead()) {
            gate.guard(self.daemon("odi-relayd", &format!("relay-{number}")));
        }
    }

    /// Waits until every directory serves this head and sends clients to every living relay, and each of those has all of it.
    pub(crate) fn until_settled(&self, seq: u64) {
        self.until_nobody_is_late(async |lab| {
            let relays = lab.gates.iter().filter(|gate| !gate.is_dead()).count() as u64;
            match lab.directory_late(seq, relays).await {
                Some(late) => Some(late),
                None => lab.relay_late(seq).await,
            }
        });
    }

    fn until_nobody_is_late(&self, late: impl AsyncFn(&Self) -> Option<String>) {
        let deadline = Instant::now() + PATIENCE;
        self.runtime.block_on(async {
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                let Some(late) = late(self).await else { return };
                assert!(Instant::now() < deadline, "it has not spread: {late}\n{}", self.logs());
            }
        });
    }

    /// A directory that does not serve the head yet, or does not count on so many relays.
    async fn directory_late(&self, seq: u64, relays: u64) -> Option<String> {
        for number in 0..DIRECTORIES {
            let url = self.directory(number);
            let status = self.status(&url).await;
            let own = |one: &&Value| one["name"] != "odi-selftest";
            let served = status["catalogs"].as_array().and_then(|all| all.iter().find(own));
            let ready = status["relays"]["ready"].as_u64().unwrap_or(0);
            if served.is_none_or(|served| served["served"]["seq"] != seq) || ready < relays {
                return Some(format!("{url} says {status}"));
            }
        }
        None
    }

    /// A living relay that does not have it.
    async fn relay_late(&self, seq: u64) -> Option<String> {
        let pin = format!("@{seq}-");
        let has = |one: &Value| one["full"].as_str().is_some_and(|full| full.starts_with(&pin));
        for gate in self.gates.iter().filter(|gate| !gate.is_dead()) {
            let status = self.status(&format!("http://{}", gate.addr)).await;
            if status["ready"] != true
                || !status["catalogs"].as_array().is_some_and(|all| all.iter().any(has))
            {
                return Some(format!("relay {} says {status}", gate.addr));
            }
        }
        None
    }

    async fn status(&self, base: &str) -> Value {
        let url = format!("{base}/odi/v1/status").parse().unwrap();
        let Ok(reply) = self.client.send(Ask::get(&url)).await else { return Value::Null };
        let body = reply.body.collect().await.unwrap_or_default();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// What the daemons wrote last.
    pub(crate) fn logs(&self) -> String {
        let files = fs::read_dir(&self.folder).unwrap().flatten().map(|file| file.path());
        let logs = files.filter(|path| path.extension().is_some_and(|ext| ext == "log"));
        let tail = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("-- {}\n{}\n", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        logs.map(tail).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.gates.iter().for_each(Gate::kill);
        (0..DIRECTORIES).for_each(|number| self.kill_directory(number));
    }
}
