//! The programs of a soak, each a process as an operator would start it, on ports of loopback that stay the same through every
//! death.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use odi_manifest::CatalogId;
use odi_wire::client::{Ask, Client};
use odi_wire::message::RelayStatus;
use url::Url;

use super::Args;
use super::watch::Watch;
use crate::demo::free_ports;

pub(super) const NAME: &str = "soak";
const STATUS_BYTES_MAX: u64 = 8 << 20;
/// How long a port may take to answer.
const PORT_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);
/// What a liar does, one after the other.
const MISCHIEFS: [&str; 4] = ["flip", "truncate", "stall", "length"];

/// What happens to a daemon on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Steady,
    /// It is killed, and started again.
    Mortal,
    /// What relays get of it is spoiled on the way. The relay itself is honest.
    Liar,
}

/// A daemon, or a gate.
pub(super) struct Program {
    pub(super) name: String,
    command: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    fn new(folder: &Path, name: &str, command: Vec<String>) -> Self {
        Self { name: name.to_owned(), command, log: folder.join(format!("{name}.log")), child: None }
    }

    fn start(&mut self) -> Result<()> {
        let (program, arguments) = self.command.split_first().context("a command has a program")?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("start {}", self.name))?);
        Ok(())
    }

    /// Kills it, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _ended = child.wait();
        }
    }

    /// Its number, if it is meant to run.
    ///
    /// # Errors
    /// It has ended by itself.
    pub(super) fn pid(&mut self) -> Result<Option<u32>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            bail!(
                "{} ended by itself ({status}); its last words, the latest first:\n{}",
                self.name,
                last.join("\n")
            );
        }
        Ok(Some(child.id()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A daemon that is watched.
pub(super) struct Daemon {
    pub(super) program: Program,
    pub(super) url: Url,
    pub(super) data: PathBuf,
    pub(super) fate: Fate,
    pub(super) watch: Watch,
    /// Before a liar.
    gate: Option<Program>,
    lies: usize,
}

/// All of them.
pub(super) struct Lab {
    pub(super) origin: Program,
    pub(super) directories: Vec<Daemon>,
    pub(super) relays: Vec<Daemon>,
    pub(super) client: Client,
    origin_at: SocketAddr,
}

/// Where everything is to listen.
pub(super) struct Places {
    pub(super) origin: SocketAddr,
    directories: Vec<SocketAddr>,
    /// Where the public meets each relay, and where a liar's relay is behind its gate.
    relays: Vec<(SocketAddr, SocketAddr)>,
}

impl Places {
    pub(super) fn find(args: &Args) -> Result<Self> {
        let mut ports =
            free_ports(1 + args.directories + 2 * args.relays).context("find free ports")?.into_iter();
        let mut next = || ports.next().context("as many ports as were asked for");
        let origin = next()?;
        let directories = (0..args.directories).map(|_| next()).collect::<Result<_>>()?;
        let relays = (0..args.relays).map(|_| Ok((next()?, next()?))).collect::<Result<_>>()?;
        Ok(Self { origin, directories, relays })
    }
}

impl Lab {
    /// Describes everything and starts the origin.
    pub(super) fn new(
        args: &Args,
        folder: &Path,
        places: &Places,
        id: &CatalogId,
        client: Client,
    ) -> Result<Self> {
        let odi = std::env::current_exe()?;
        let tree = folder.join("origin");
        let gate = |at: SocketAddr, behind: &str| {
            ["bench", "swarm", "--gate", &at.to_string(), "--behind", behind].map(str::to_owned).to_vec()
        };
        let mut command = vec![odi.display().to_string()];
        command.extend(gate(places.origin, &tree.display().to_string()));
        let mut lab = Self {
            origin: Program::new(folder, "origin", command),
            directories: Vec::new(),
            relays: Vec::new(),
            client,
            origin_at: places.origin,
        };
        for (number, at) in (1..).zip(&places.directories) {
            let (name, data) = (format!("directory-{number}"), folder.join(format!("directory-{number}")));
            let config = directory_config(&data, *at, id, places.origin);
            lab.directories.push(daemon(folder, "odi-directoryd", &name, &config, *at, Fate::Steady)?);
        }
        for (number, (at, behind)) in (1..).zip(&places.relays) {
            let (name, data) = (format!("relay-{number}"), folder.join(format!("relay-{number}")));
            // The last one lies, and the one before it dies.
            let fate = match args.relays + 1 - number {
                1 => Fate::Liar,
                2 => Fate::Mortal,
                _ => Fate::Steady,
            };
            let listen = if fate == Fate::Liar { *behind } else { *at };
            let config = relay_config(args, &data, listen, *at, &places.directories);
            let mut relay = daemon(folder, "odi-relayd", &name, &config, *at, fate)?;
            if fate == Fate::Liar {
                let mut command = vec![odi.display().to_string()];
                command.extend(gate(*at, &format!("http://{listen}/")));
                relay.gate = Some(Program::new(folder, &format!("gate-{number}"), command));
            }
            lab.relays.push(relay);
        }
        lab.origin.start()?;
        Ok(lab)
    }

    /// Starts directories, then relays, as each answers.
    pub(super) async fn start(&mut self) -> Result<()> {
        answers(self.origin_at).await?;
        for daemon in self.directories.iter_mut().chain(&mut self.relays) {
            daemon.program.start()?;
            daemon.lie()?;
            answers(address(&daemon.url)?).await?;
        }
        Ok(())
    }

    /// The origin goes or comes.
    pub(super) fn turn_origin(&mut self, on: bool) -> Result<()> {
        self.origin.kill();
        if on { self.origin.start() } else { Ok(()) }
    }

    /// What a relay says of itself, if it can.
    pub(super) async fn status(&self, relay: &Daemon) -> Option<RelayStatus> {
        let url = relay.url.join("odi/v1/status").ok()?;
        let reply = self.client.send(Ask::get(&url).reply_bytes_max(STATUS_BYTES_MAX)).await.ok()?;
        serde_json::from_slice(&reply.body.collect().await.ok()?).ok()
    }
}

impl Daemon {
    /// Starts it again after its death.
    pub(super) fn revive(&mut self) -> Result<()> {
        self.watch.begin_life();
        self.program.start()
    }

    /// Goes on to the next lie, if that is its fate.
    pub(super) fn lie(&mut self) -> Result<()> {
        let Some(gate) = &mut self.gate else { return Ok(()) };
        gate.kill();
        gate.command.truncate(7);
        let mischief = MISCHIEFS.get(self.lies % MISCHIEFS.len()).copied().unwrap_or_default();
        gate.command.extend(["--mischief".to_owned(), mischief.to_owned()]);
        self.lies += 1;
        gate.start()
    }
}

fn daemon(
    folder: &Path,
    program: &str,
    name: &str,
    config: &str,
    at: SocketAddr,
    fate: Fate,
) -> Result<Daemon> {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, config)?;
    let program = std::env::current_exe()?.with_file_name(program).display().to_string();
    let command = vec![
        program,
        "--allow-private-addresses".to_owned(),
        "--config".to_owned(),
        file.display().to_string(),
    ];
    Ok(Daemon {
        program: Program::new(folder, name, command),
        url: Url::parse(&format!("http://{at}/"))?,
        data: folder.join(name),
        fate,
        watch: Watch::default(),
        gate: None,
        lies: 0,
    })
}

/// Its caches are as small as everything else here: each head brings tree nodes, and a cache that is still filling after half of the time
/// looks like a leak.
fn directory_config(data: &Path, at: SocketAddr, id: &CatalogId, origin: SocketAddr) -> String {
    format!(
        "data_dir = {data:?}\nlisten = [\"{at}\"]\npublic_urls = [\"http://{at}\"]\ncarry = \"4 MB\"\nram_cache = \"2 MiB\"\n\
         [[catalog]]\nname = \"{NAME}\"\nid = \"{id}\"\norigin = \"http://{origin}/\"\npoll = \"2s\"\n"
    )
}

fn relay_config(
    args: &Args,
    data: &Path,
    listen: SocketAddr,
    at: SocketAddr,
    directories: &[SocketAddr],
) -> String {
    let (disk, bandwidth) = (&args.disk, &args.bandwidth);
    let mut text = format!(
        "data_dir = {data:?}\nlisten = [\"{listen}\"]\npublic_urls = [\"http://{at}\"]\ndisk = \"{disk}\"\n\
         ram_cache = \"8 MiB\"\nbandwidth = \"{bandwidth}\"\n"
    );
    for directory in directories {
        // Writing to a String cannot fail.
        let _ = write!(text, "[[directory]]\nurl = \"http://{directory}\"\ncatalogs = [\"{NAME}\"]\n");
    }
    text
}

fn address(url: &Url) -> Result<SocketAddr> {
    Ok(format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(80)).parse()?)
}

async fn answers(at: SocketAddr) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PORT_PATIENCE;
    while TcpStream::connect(at).is_err() {
        if tokio::time::Instant::now() > deadline {
            bail!("nothing listens at {at}");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
