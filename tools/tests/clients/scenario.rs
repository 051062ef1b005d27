//! One client's story, told by its page: a maintainer publishes, users install, the maintainer publishes again, users go on while that
//! spreads, and at last a relay dies in the middle of what somebody fetches from it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::gate::Gate;
use crate::lab::{Lab, Scheme};
use crate::page::Page;
use crate::programs::PROGRAMS;
use crate::report::{self, Recovery};
use crate::skip::skip;
use crate::trust;

const PATIENCE: Duration = Duration::from_secs(120);
/// How often a user whose relay died runs the same again before giving up.
const AGAIN_MAX: usize = 4;
/// How often a relay dies until a client fares as its page says: at the worst moment it may fare worse.
const DEATHS_MAX: usize = 3;
/// What a user's shell has of ours.
const KEPT: [&str; 4] = ["PATH", "PYENV_ROOT", "JAVA_HOME", "ODI_REAL_PACKAGES"];

/// A folder, which is somebody's home too, and the directory that they go to.
pub(crate) struct User {
    pub(crate) folder: PathBuf,
    directory: usize,
}

/// One way to fetch what a page's maintainer publishes.
pub(crate) struct Client<'a> {
    /// Its row.
    pub(crate) row: &'static str,
    /// The block that somebody pastes who has nothing yet.
    pub(crate) install: &'static str,
    /// The block for those who have the former version.
    pub(crate) update: &'static str,
    /// Bytes that a relay gives before it dies: within a file.
    pub(crate) fatal: u64,
    /// Which version somebody has.
    pub(crate) version: &'a dyn Fn(&User) -> String,
}

/// What came of a block.
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) said: String,
}

/// See the module.
pub(crate) struct Scenario {
    page: Page,
    name: &'static str,
    work: TempDir,
    lab: Lab,
    swaps: Vec<(String, String)>,
    paths: Vec<PathBuf>,
    maintainer: User,
    seq: u64,
    users: usize,
    told: Cell<u64>,
    mend: Option<&'static str>,
    began: Instant,
}

impl Scenario {
    /// Opens the page of that name, which speaks of a catalog of the same name; `None`, aloud, if one of its tools is not here.
    pub(crate) fn begin(name: &'static str, tools: &[&str]) -> Option<Self> {
        Self::open(name, name, Scheme::Http, tools)
    }

    /// The same over https, as the pages have it, with clients that trust the laboratory's authority.
    pub(crate) fn begin_over_tls(name: &'static str, tools: &[&str]) -> Option<Self> {
        Self::open(name, name, Scheme::Https, tools)
    }

    /// The same where every server has an address of its own: for clients to whom one that is gone is all that has its address.
    pub(crate) fn begin_over_tls_to_addresses(name: &'static str, tools: &[&str]) -> Option<Self> {
        Self::open(name, name, Scheme::HttpsToAddresses, tools)
    }

    /// As [`begin_over_tls`](Self::begin_over_tls) for a page that gives its catalog another name.
    pub(crate) fn begin_over_tls_as(page: &'static str, name: &'static str, tools: &[&str]) -> Option<Self> {
        Self::open(page, name, Scheme::Https, tools)
    }

    fn open(page: &'static str, name: &'static str, scheme: Scheme, tools: &[&str]) -> Option<Self> {
        let paths: Vec<PathBuf> =
            real_packages().map(|folder| folder.join("tools/bin")).into_iter().collect();
        let path = std::env::var("PATH").unwrap();
        let folders: Vec<PathBuf> = paths.iter().cloned().chain(std::env::split_paths(&path)).collect();
        let has = |tool: &&str| folders.iter().any(|folder| folder.join(tool).is_file());
        let proxy: &[&str] = if scheme.is_secure() { &["nginx"] } else { &[] };
        if let Some(missing) = tools.iter().chain(proxy).find(|tool| !has(tool)) {
            skip(&format!("{missing} is not installed"));
            return None;
        }
        let work = tempfile::tempdir().unwrap();
        let maintainer = User { folder: work.path().join("maintainer"), directory: 0 };
        fs::create_dir(&maintainer.folder).unwrap();
        let lab = Lab::new(work.path(), maintainer.folder.join(name), scheme);
        let page = Page::read(page);
        let swaps = vec![
            (format!("https://ftp.example.org/{name}/"), lab.origin()),
            (" --out root".to_owned(), " --out root --no-passphrase".to_owned()),
            (" --out release".to_owned(), " --out release --no-passphrase".to_owned()),
            // To the users of this page there are other ways to be somebody who may install.
            ("sudo ".to_owned(), String::new()),
        ];
        Some(Self {
            page,
            name,
            work,
            lab,
            swaps,
            paths,
            maintainer,
            seq: 0,
            users: 0,
            told: Cell::new(0),
            mend: None,
            began: Instant::now(),
        })
    }

    /// Has every block say something else here; `{here}` is the folder of whoever runs it.
    pub(crate) fn swap(&mut self, from: &str, to: &str) {
        self.swaps.insert(0, (from.to_owned(), to.to_owned()));
    }

    /// Names the block that a user needs before what broke off can be run again.
    pub(crate) fn mend_with(&mut self, block: &'static str) {
        self.mend = Some(block);
    }

    /// Where the maintainer works.
    pub(crate) fn maintainer(&self) -> &Path {
        &self.maintainer.folder
    }

    /// A further user, with nothing yet, who goes to the first directory or to the second.
    pub(crate) fn user(&mut self, directory: usize) -> User {
        self.users += 1;
        let folder = self.work.path().join(format!("user-{}", self.users));
        fs::create_dir(&folder).unwrap();
        if let Some(root) = self.lab.root() {
            trust::by_files(&root, &folder);
        }
        User { folder, directory }
    }

    /// Runs a block of the page in somebody's shell.
    pub(crate) fn run(&self, user: &User, block: &str) -> Ran {
        let here = user.folder.to_str().unwrap();
        let swap =
            |script: String, (from, to): &(String, String)| script.replace(from, &to.replace("{here}", here));
        let script = self.swaps.iter().fold(self.page.block(block), swap);
        let everest = self.lab.directory(user.directory);
        let script = script.replace("mirror+https://everest.example.org", &format!("mirror+{everest}"));
        let script = script.replace("https://everest.example.org", &everest);
        let script = script.replace("//everest.example.org", everest.split_once(':').unwrap().1);
        let script = script.replace("https://shasta.example.org", &self.lab.directory(1 - user.directory));
        let path = std::env::split_paths(&std::env::var("PATH").unwrap()).collect::<Vec<_>>();
        let path = self.paths.iter().cloned().chain([PROGRAMS.to_path_buf(), toolchain()]).chain(path);
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("exec 2>&1\nset -eu\n{script}")]).current_dir(&user.folder);
        shell.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        shell.env("PATH", std::env::join_paths(path).unwrap()).env("HOME", here).env("LC_ALL", "C.UTF-8");
        shell.env("TMPDIR", self.work.path()).env("APT_CONFIG", user.folder.join("apt.conf"));
        if let Some(root) = self.lab.root() {
            shell.envs(trust::VARIABLES.map(|name| (name, root.clone())));
        }
        let ended = shell.stdin(Stdio::null()).output().unwrap();
        odi_fixtures::tell!(
            "{}, `{block}`: {:?} at {} s",
            self.name,
            ended.status.code(),
            self.began.elapsed().as_secs()
        );
        let said = format!("+ {block} in {here}\n{}", String::from_utf8_lossy(&ended.stdout));
        Ran { success: ended.status.success(), said }
    }

    /// The same where nothing may go wrong.
    pub(crate) fn must(&self, user: &User, block: &str) -> String {
        let Ran { success, said } = self.run(user, block);
        assert!(success, "{said}\n{}", self.lab.logs());
        said
    }

    /// Runs the page's `publish`, and starts the network for what it made.
    pub(crate) fn publish(&mut self) {
        self.must(&self.maintainer, "publish");
        self.seq = 1;
        let status = self.status();
        let id = status["id"].as_str().unwrap();
        self.lab.start(self.name, id);
        self.lab.until_settled(self.seq);
        odi_fixtures::tell!("{}: everybody has it at {} s", self.name, self.began.elapsed().as_secs());
    }

    /// Runs the page's `publish again`, which pushes; what it changed spreads from now on.
    pub(crate) fn publish_again(&mut self) {
        let said = self.must(&self.maintainer, "publish again");
        let seq = self.status()["seq"].as_u64().unwrap();
        assert!(seq > self.seq, "nothing was published: {said}");
        self.seq = seq;
    }

    fn status(&self) -> serde_json::Value {
        let mut sign = Command::new(PROGRAMS.join("odi-sign"));
        sign.args(["status", "--json"]).arg(self.maintainer.folder.join(self.name));
        serde_json::from_slice(&sign.output().unwrap().stdout).unwrap()
    }

    /// Runs a block again and again, well each time, until it is so.
    pub(crate) fn until(&self, user: &User, block: &str, is_so: impl Fn(&User) -> bool) {
        let began = Instant::now();
        let mut runs = 0;
        loop {
            let said = self.must(user, block);
            runs += 1;
            if is_so(user) {
                break odi_fixtures::tell!(
                    "{}: {runs} times `{block}` until the update was there",
                    self.name
                );
            }
            assert!(began.elapsed() < PATIENCE, "the update never came: {said}\n{}", self.lab.logs());
        }
    }

    /// Waits until everybody is there again and has the newest state.
    pub(crate) fn revive(&mut self) {
        self.lab.revive();
        self.lab.until_settled(self.seq);
        odi_fixtures::tell!("{}: everybody has it at {} s", self.name, self.began.elapsed().as_secs());
    }

    /// Runs a block while the relay dies that gives the last of these bytes, once the newest state is everywhere, and again if that
    /// fails.
    pub(crate) fn with_a_death(&mut self, user: &User, install: &str, bytes: u64) -> Recovery {
        self.revive();
        self.tell("so far");
        self.lab.fuse.light(bytes);
        let first = self.run(user, install);
        self.lab.fuse.put_out();
        let is_dead = self.lab.gates.iter().any(Gate::is_dead);
        assert!(is_dead, "no relay was in the middle of {bytes} bytes: {}", first.said);
        self.tell(&format!("`{install}` with a death"));
        if first.success {
            return Recovery::ByItself;
        }
        odi_fixtures::tell!("{}: it failed:\n{}", self.name, tail(&first.said));
        if let Some(block) = self.mend {
            assert!(!self.run(user, install).success, "nothing has to be mended");
            self.must(user, block);
        }
        for again in 1..=AGAIN_MAX {
            if self.run(user, install).success {
                self.tell(&format!("`{install}` again, time {again}"));
                return if self.mend.is_some() { Recovery::Mended } else { Recovery::Again };
            }
        }
        panic!("it never recovered: {}\n{}", self.must(user, install), self.lab.logs());
    }

    /// Prints what clients fetched from which relay since the last time, if anything.
    pub(crate) fn tell(&self, when: &str) {
        odi_fixtures::tell!("{}, {when}, {} s:", self.name, self.began.elapsed().as_secs());
        for (gate, number) in self.lab.gates.iter().zip(1..) {
            let (visits, bytes) = gate.take_seen();
            self.told.set(self.told.get() + bytes);
            let mut clients: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for visit in visits {
                let target = visit.target.split_once('/').map_or("", |(_, rest)| rest);
                let path = target.split_once('/').map_or(target, |(_, path)| path);
                clients.entry(visit.client).or_default().push(path.to_owned());
            }
            for (client, paths) in clients {
                let some = paths.iter().take(4).cloned().collect::<Vec<_>>().join(" ");
                odi_fixtures::tell!(
                    "  relay {number}, {} requests, {bytes} bytes in all, {client}: {some}",
                    paths.len()
                );
            }
        }
    }

    /// Waits until whoever wants this file is sent to a relay.
    pub(crate) fn until_relays_give(&self, path: &str) {
        self.lab.until_relays_give(self.name, path);
    }

    /// How many bytes all relays gave to clients, as far as was told.
    pub(crate) const fn bytes_told(&self) -> u64 {
        self.told.get()
    }

    /// The whole story: the first version for everybody, the second, which `change` makes for the maintainer, while it spreads, and
    /// then with a death. `prepare` makes a user who has what the page takes for granted.
    pub(crate) fn play(
        &mut self,
        clients: &[Client<'_>],
        versions: [&str; 2],
        prepare: impl Fn(&User),
        change: impl FnOnce(&Path),
    ) {
        self.publish();
        let user = |scenario: &mut Self, directory| {
            let user = scenario.user(directory);
            prepare(&user);
            user
        };
        let mut users = Vec::new();
        for client in clients {
            let user = user(self, 0);
            self.must(&user, client.install);
            assert_eq!((client.version)(&user), versions[0], "{}", client.row);
            users.push(user);
        }
        change(&self.maintainer.folder);
        self.publish_again();
        for (client, former) in clients.iter().zip(&users) {
            let late = user(self, 1);
            let is_new = |user: &User| {
                let version = (client.version)(user);
                assert!(versions.contains(&version.as_str()), "{}: {version}", client.row);
                version == versions[1]
            };
            self.until(former, client.update, is_new);
            self.must(&late, client.install);
            // Nobody updates by installing again: a lock file, a cache or a list of repositories stands in the way.
            if !is_new(&late) {
                self.until(&late, client.update, is_new);
            }
        }
        for client in clients {
            let mut best: Option<Recovery> = None;
            for _ in 0..DEATHS_MAX {
                let user = user(self, 0);
                let recovery = self.with_a_death(&user, client.install, client.fatal);
                assert_eq!((client.version)(&user), versions[1], "{}", client.row);
                best = Some(best.map_or(recovery, |best| best.min(recovery)));
                if report::is_kept(self.page.name(), client.row, recovery) {
                    break;
                }
            }
            report::row(self.page.name(), client.row, best.expect("there was a death"));
        }
    }
}

/// Where the real packages are, if somebody fetched them.
pub(crate) fn real_packages() -> Option<PathBuf> {
    std::env::var_os("ODI_REAL_PACKAGES").map(PathBuf::from)
}

/// The programs of the toolchain itself: its proxies look for it below a home that is another one here.
fn toolchain() -> PathBuf {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from(env!("CARGO")), PathBuf::from);
    cargo.parent().unwrap().to_path_buf()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Copies real packages whose names begin so into a new folder; `None`, aloud, if nobody fetched them.
pub(crate) fn copy_packages<const N: usize>(
    kind: &str,
    names: [String; N],
    into: &Path,
) -> Option<[PathBuf; N]> {
    let Some(folder) = real_packages() else {
        skip("ODI_REAL_PACKAGES is not set");
        return None;
    };
    fs::create_dir_all(into).unwrap();
    let files: Vec<PathBuf> =
        fs::read_dir(folder.join(kind)).unwrap().flatten().map(|file| file.path()).collect();
    Some(names.map(|name| {
        let is_it = |file: &&PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with(&name);
        let found =
            files.iter().find(is_it).unwrap_or_else(|| panic!("fetch-real-packages has no {kind}/{name}"));
        let copy = into.join(found.file_name().unwrap());
        fs::copy(found, &copy).unwrap();
        copy
    }))
}
