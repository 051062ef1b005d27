//! Two directories and three relays, the real programs on loopback, and the maintainer's web server. Each relay stands behind a [`Gate`];
//! where all of it speaks https, what ends TLS stands behind that.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odi_fixtures::{TestAuthority, free_port};
use odi_tools::demo::Origin;
use odi_wire::client::{Ask, Client, ClientPolicy};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;

use crate::gate::{Fuse, Gate};
use crate::programs::PROGRAMS;
use crate::terminator;

const DIRECTORIES: usize = 2;
const RELAYS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(150);
/// As the test authority calls it.
const ROOT: &str = "root.pem";
const LOOK: Duration = Duration::from_millis(100);

/// An address in a network of its own: a client that gives up an address must not give up everybody.
fn address(number: usize) -> SocketAddr {
    (Ipv4Addr::new(127, 0, u8::try_from(number).unwrap() + 1, 1), free_port()).into()
}

/// The one name that every machine has.
const NAME: &str = "localhost";

/// A port at all addresses of the name: whoever is called so has to answer at each.
fn named() -> Vec<SocketAddr> {
    loop {
        let addrs: Vec<SocketAddr> = (NAME, free_port()).to_socket_addrs().unwrap().collect();
        let tried: Vec<_> = addrs.iter().map(|addr| (*addr, TcpListener::bind(addr))).collect();
        let is_in_use = |error: &std::io::Error| error.kind() == ErrorKind::AddrInUse;
        if !tried.iter().any(|(_, bound)| bound.as_ref().is_err_and(is_in_use)) {
            // Where there is no IPv6 nobody can come by it.
            return tried.into_iter().filter_map(|(addr, bound)| bound.ok().map(|_| addr)).collect();
        }
    }
}

/// What people type before `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each test binary uses some of it")]
pub(crate) enum Scheme {
    Http,
    /// Under an authority of the laboratory's own, [`Lab::root`], by the one name that there is; servers differ in their ports.
    Https,
    /// The same by addresses, which differ. Most clients take no certificate of an address.
    HttpsToAddresses,
}

impl Scheme {
    /// Where somebody with a public URL listens.
    fn public(self, number: usize) -> Vec<SocketAddr> {
        match self {
            Self::Https => named(),
            Self::Http | Self::HttpsToAddresses => vec![address(number)],
        }
    }

    /// The URL of that place, without a slash.
    fn url(self, at: &[SocketAddr]) -> String {
        let at = at[0];
        match self {
            Self::Http => format!("http://{at}"),
            Self::Https => format!("https://{NAME}:{}", at.port()),
            Self::HttpsToAddresses => format!("https://{at}"),
        }
    }

    /// Whether something has to end TLS.
    pub(crate) fn is_secure(self) -> bool {
        self != Self::Http
    }
}

/// The network, which ends with it.
#[allow(dead_code, reason = "each test binary uses some of it")]
pub(crate) struct Lab {
    folder: PathBuf,
    /// What directories call the catalog.
    name: String,
    runtime: Runtime,
    client: Client,
    origin: Origin,
    scheme: Scheme,
    directories: Vec<(Vec<SocketAddr>, Option<Child>)>,
    /// Where each relay's TLS ends, and to where it is passed on.
    terminators: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) fuse: Arc<Fuse>,
}

#[allow(dead_code, reason = "each test binary uses some of it")]
impl Lab {
    /// Serves `tree`, which need not be there yet, and reserves what addresses the network will have.
    pub(crate) fn new(folder: &Path, tree: PathBuf, scheme: Scheme) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut extra_roots = Vec::new();
        if scheme.is_secure() {
            let addresses = (0..DIRECTORIES + RELAYS).map(|number| address(number).ip().to_string());
            let hosts: Vec<String> = addresses.chain([NAME.to_owned()]).collect();
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            TestAuthority::new().issue_into(folder, &hosts).unwrap();
            extra_roots.push(folder.join(ROOT));
        }
        let policy = ClientPolicy { allow_private_addresses: true, extra_roots, ..ClientPolicy::default() };
        let client = Client::new(policy).unwrap();
        let origin = runtime.block_on(Origin::start(tree)).unwrap();
        let directories = (0..DIRECTORIES).map(|number| (scheme.public(number), None)).collect();
        let (name, terminators, gates, fuse) = Default::default();
        let folder = folder.to_owned();
        Self { folder, name, runtime, client, origin, scheme, directories, terminators, gates, fuse }
    }

    /// The certificate that whoever comes by https has to trust.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        self.scheme.is_secure().then(|| self.folder.join(ROOT))
    }

    /// The maintainer's web server, with a slash at its end.
    pub(crate) fn origin(&self) -> String {
        self.origin.url()
    }

    /// A directory, without a slash.
    pub(crate) fn directory(&self, number: usize) -> String {
        self.scheme.url(&self.directories[number].0)
    }

    /// Starts everything for one catalog, and waits until clients are sent to all relays.
    pub(crate) fn start(&mut self, name: &str, id: &str) {
        name.clone_into(&mut self.name);
        let tls = match self.root() {
            Some(_) => format!(
                "[tls]\ncertificate = {:?}\nkey = {:?}\n",
                self.folder.join("server.pem"),
                self.folder.join("server.key")
            ),
            None => String::new(),
        };
        for number in 0..DIRECTORIES {
            let (own, peer) = (self.directory(number), self.directory(1 - number));
            let config = format!(
                "{tls}[[catalog]]\nname = \"{name}\"\nid = \"{id}\"\norigin = \"{}\"\npoll = \"2s\"\n[[peer]]\nurl = \"{peer}\"\n",
                self.origin()
            );
            let name = format!("directory-{number}");
            self.write_config(&name, &own, &self.directories[number].0, &config);
            self.directories[number].1 = Some(self.daemon("odi-directoryd", &name));
        }
        // A relay looks at what is offered when it comes, and then once a minute.
        self.until_nobody_is_late(async |lab| lab.directory_late(1, 0).await);
        // The gate and what ends TLS are proxies of this machine.
        let mut config = "disk = \"4 GB\"\nproxies = [\"127.0.0.0/8\"]\n".to_owned();
        for number in 0..DIRECTORIES {
            let url = self.directory(number);
            writeln!(config, "[[directory]]\nurl = \"{url}\"\ncatalogs = [\"*\"]").unwrap();
        }
        for number in 0..RELAYS {
            let (behind, door) = (address(DIRECTORIES + number), self.scheme.public(DIRECTORIES + number));
            let to = if self.scheme.is_secure() {
                let (tls, reader) = (address(DIRECTORIES + number), address(DIRECTORIES + number));
                Gate::start(vec![reader], behind, &self.fuse);
                self.terminators.push((tls, reader));
                tls
            } else {
                behind
            };
            self.write_config(&format!("relay-{number}"), &self.scheme.url(&door), &[behind], &config);
            let gate = Gate::start(door, to, &self.fuse);
            self.gates.push(gate);
            self.start_relay(number);
        }
    }

    /// A relay, and what ends TLS before it, which is the first to die: a proxy that outlives its relay would answer in its name.
    fn start_relay(&self, number: usize) {
        let (name, gate) = (format!("relay-{number}"), &self.gates[number]);
        let mut mortal = vec![self.daemon("odi-relayd", &name)];
        if let Some((at, to)) = self.terminators.get(number) {
            mortal.insert(0, terminator::start(&self.folder, &name, *at, *to));
        }
        gate.guard(mortal);
    }

    fn write_config(&self, name: &str, public: &str, listen: &[SocketAddr], config: &str) {
        let (data, roots) = (self.folder.join(name), Vec::from_iter(self.root()));
        let listen: Vec<String> = listen.iter().map(SocketAddr::to_string).collect();
        let text = format!(
            "data_dir = {data:?}\nlisten = {listen:?}\npublic_urls = [\"{public}\"]\nextra_roots = {roots:?}\n{config}"
        );
        fs::write(self.folder.join(format!("{name}.toml")), text).unwrap();
    }

    fn daemon(&self, program: &str, name: &str) -> Child {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(PROGRAMS.join(program));
        command.args(["--allow-private-addresses", "--config"]).arg(self.folder.join(format!("{name}.toml")));
        let daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.fuse.others.add(daemon.id());
        daemon
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
        for (number, _) in self.gates.iter().enumerate().filter(|(_, gate)| gate.is_dead()) {
            self.start_relay(number);
        }
    }

    /// Waits until every directory serves this head and sends clients to every living relay, each of those has all of it, and every
    /// directory knows that: else it sends clients to the origin.
    pub(crate) fn until_settled(&self, seq: u64) {
        self.until_nobody_is_late(async |lab| {
            let relays = lab.gates.iter().filter(|gate| !gate.is_dead()).count() as u64;
            match lab.directory_late(seq, relays).await {
                Some(late) => Some(late),
                None => match lab.relay_late(seq).await {
                    Some(late) => Some(late),
                    None => lab.knowledge_late(seq, relays).await,
                },
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
            let status = self.status(&self.scheme.url(&gate.addrs)).await;
            if status["ready"] != true
                || !status["catalogs"].as_array().is_some_and(|all| all.iter().any(has))
            {
                return Some(format!("relay {:?} says {status}", gate.addrs));
            }
        }
        None
    }

    /// A directory that has not heard yet that so many relays have all of it.
    async fn knowledge_late(&self, seq: u64, relays: u64) -> Option<String> {
        for number in 0..DIRECTORIES {
            let url = format!("{}/odi/catalogs/{}?json", self.directory(number), self.name);
            let page = self.document(url).await;
            let knows = |head: &Value| head["seq"] == seq && head["full"].as_u64() >= Some(relays);
            if !page["heads"].as_array().is_some_and(|heads| heads.iter().any(knows)) {
                return Some(format!("directory {number} knows {}", page["heads"]));
            }
        }
        None
    }

    /// Waits until the first directory sends whoever wants this to a relay: what is large may be there before it is known to be.
    pub(crate) fn until_relays_give(&self, name: &str, path: &str) {
        let url: Url = format!("{}/{name}/{path}", self.directory(0)).parse().unwrap();
        self.until_nobody_is_late(async |lab| {
            let reply = lab.client.send(Ask::get(&url)).await;
            let location = reply.ok().and_then(|reply| reply.headers.get("location").cloned());
            let location = location.as_ref().and_then(|location| location.to_str().ok()).unwrap_or("nowhere");
            let is_relay = lab.gates.iter().any(|gate| location.starts_with(&lab.scheme.url(&gate.addrs)));
            (!is_relay).then(|| format!("{url} leads to {location}"))
        });
    }

    async fn status(&self, base: &str) -> Value {
        self.document(format!("{base}/odi/v1/status")).await
    }

    async fn document(&self, url: String) -> Value {
        let url = url.parse().unwrap();
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
