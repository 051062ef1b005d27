//! What cannot be published: named, refused with exit code 3, and the former `.odi/` is as it was.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]

#[path = "support/maintainer.rs"]
mod maintainer;
#[path = "support/skip.rs"]
mod skip;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use maintainer::Maintainer;
use odi_manifest::{Clock, SigningKey, SystemClock, Timestamp};
use odi_tools::sign::{
    BoxedSigner, Description, Failure, HeadOutcome, InitRequest, Progress, PublishRequest, RealTreeDisk,
    Silent, init, publish,
};
use skip::skip;

/// Every file below `.odi/` with its bytes.
fn odi_of(tree: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![tree.join(".odi")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// Publishes a tree with something wrong in it, and returns what is said.
fn refused(spoil: impl FnOnce(&Path)) -> String {
    let m = Maintainer::with_tree(&[("a/good", "good")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let before = odi_of(&m.tree());
    spoil(&m.tree());
    let (code, said) = m.failure(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(odi_of(&m.tree()), before);
    said
}

#[test]
fn settings_that_no_daemon_would_take() {
    let said =
        refused(|tree| fs::write(tree.join("odi-catalog.toml"), "index = [\"a\"]\nindx = 1\n").unwrap());
    insta::assert_snapshot!(said, @r"
    odi-sign: 1 path cannot be published
      odi-catalog.toml: line 2, key `indx`: there is no such key
    ");
    let said = refused(|tree| fs::write(tree.join("odi-catalog.toml"), vec![b'#'; 70_000]).unwrap());
    assert!(said.contains("the file has 70000 bytes, and at most 65536 are read"), "{said}");
}

#[test]
fn links_that_leave_the_tree_or_lead_nowhere_or_back() {
    let said = refused(|tree| {
        symlink("/etc/hostname", tree.join("out")).unwrap();
        symlink("../..", tree.join("a/up")).unwrap();
        symlink(".odi/head", tree.join("into")).unwrap();
        symlink("nothing", tree.join("dangling")).unwrap();
        symlink(".", tree.join("a/loop")).unwrap();
        symlink("self", tree.join("self")).unwrap();
        fs::create_dir(tree.join("b")).unwrap();
        symlink("../b", tree.join("a/b")).unwrap();
        symlink("../a", tree.join("b/a")).unwrap();
    });
    let lines: Vec<&str> = said.lines().map(|line| line.split(" (").next().unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    odi-sign: 10 paths cannot be published
      a/b/a: this link leads back to a folder above it
      a/loop: this link leads back to a folder above it
      a/up: this link leaves the tree
      b/a/b: this link leads back to a folder above it
      b/a/loop: this link leads back to a folder above it
      b/a/up: this link leaves the tree
      dangling: this link leads nowhere
      into: this link leaves the tree
      out: this link leaves the tree
      self: this link leads back to a folder above it
    ");
}

#[test]
fn names_that_no_manifest_can_hold() {
    let said = refused(|tree| {
        let mut name = tree.as_os_str().to_os_string();
        name.push(OsStr::from_bytes(b"/a/latin-\xe9"));
        fs::write(name, "").unwrap();
        for name in ["back\\slash", "new\nline", "nfd-e\u{301}", "right\u{202e}left"] {
            fs::write(tree.join(name), "").unwrap();
        }
        let deep = "d/".repeat(33);
        fs::create_dir_all(tree.join(&deep)).unwrap();
        fs::write(tree.join(deep).join("x"), "").unwrap();
    });
    insta::assert_snapshot!(said, @r"
    odi-sign: 6 paths cannot be published
      a/latin-\xe9: the name is not UTF-8
      back\slash: the path has a backslash
      d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/x: the path is deeper than 32 segments
      new\nline: the path has a control character
      nfd-e\u{301}: the path is not in normalization form C
      right\u{202e}left: the path has a bidirectional control
    ");
}

#[test]
fn pipes_and_sockets() {
    let said = refused(|tree| {
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        let status = Command::new("mkfifo").arg(tree.join("pipe")).status().unwrap();
        assert!(status.success());
    });
    insta::assert_snapshot!(said, @r"
    odi-sign: 2 paths cannot be published
      pipe: a pipe, socket or device, not a file or folder
      socket: a pipe, socket or device, not a file or folder
    ");
}

/// The command as it would run for somebody who is bound by a file's mode, as the superuser is not.
fn without_override(command: &Command) -> Command {
    let mut bound = if rustix::process::geteuid().is_root() {
        let capabilities = "-dac_override,-dac_read_search";
        let mut bound = Command::new("setpriv");
        bound.args(["--bounding-set", capabilities, "--inh-caps", capabilities]).arg(command.get_program());
        bound
    } else {
        Command::new(command.get_program())
    };
    bound.args(command.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    bound.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bound
}

#[test]
fn a_file_that_may_not_be_read() {
    let m = Maintainer::with_tree(&[("a/good", "good"), ("b/secret", "secret")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let before = odi_of(&m.tree());
    m.write("b/secret", "changed");
    fs::set_permissions(m.tree().join("b/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let publish = m.command(&["publish", "TREE", "--key", "REL"]);
    let refused = match without_override(&publish).output() {
        Ok(refused) => refused,
        Err(error) => {
            return skip(&format!("the superuser reads everything, and setpriv does not run: {error}"));
        }
    };
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("b/secret: cannot be read"), "{said}");
    assert_eq!(odi_of(&m.tree()), before);
}

/// Does something to the tree in the middle of the hashing.
struct Meddle<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Progress for Meddle<F> {
    fn begin(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {
        if let Some(meddle) = self.0.lock().unwrap().take() {
            meddle();
        }
    }
    fn end(&self) {}
}

const DAY: Duration = Duration::from_secs(86_400);

/// Begins a catalog in a tree, with a root that lasts a day from then.
fn founded(tree: &Path, then: Timestamp) -> Vec<BoxedSigner> {
    let key = SigningKey::from_seed(&[1; 32]);
    let signers: Vec<BoxedSigner> = vec![Box::new(key.clone())];
    let request = InitRequest {
        tree: tree.to_owned(),
        name: "demo".to_owned(),
        root_keys: vec![key.public_key()],
        root_threshold: 1,
        release_keys: vec![key.public_key()],
        release_threshold: 1,
        revoke_keys: Vec::new(),
        witnesses: Vec::new(),
        witness_quorum: None,
        expires: DAY,
        description: Description::default(),
    };
    init(&RealTreeDisk, &request, &signers, then).unwrap();
    signers
}

fn publish_now(
    tree: &Path,
    signers: &[BoxedSigner],
    progress: &dyn Progress,
) -> Result<HeadOutcome, Failure> {
    publish_if(false, tree, signers, progress)
}

fn publish_if(
    steady: bool,
    tree: &Path,
    signers: &[BoxedSigner],
    progress: &dyn Progress,
) -> Result<HeadOutcome, Failure> {
    let request = PublishRequest {
        tree,
        signers,
        now: SystemClock.now(),
        expires: DAY,
        renew: false,
        rehash: false,
        discard_waiting: false,
        directories: &[],
        offline: true,
        keep_replaced: DAY,
        description: &Description::default(),
        cache: None,
        steady,
        imported: None,
        workers: 1,
        progress,
    };
    publish(&RealTreeDisk, &request)
}

fn meddled(meddle: impl FnOnce(&Path) + Send) -> String {
    meddled_if(false, meddle)
}

fn meddled_if(steady: bool, meddle: impl FnOnce(&Path) + Send) -> String {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    // The larger file is hashed first.
    fs::write(tree.join("large"), vec![1; 2 << 20]).unwrap();
    fs::write(tree.join("small"), "small").unwrap();
    let signers = founded(&tree, SystemClock.now());
    let before = odi_of(&tree);
    let meddle = Meddle(Mutex::new(Some(|| meddle(&tree))));
    let failure = publish_if(steady, &tree, &signers, &meddle).unwrap_err();
    assert!(matches!(failure, Failure::Tree(_)) && failure.exit_code() == 3, "{failure}");
    assert_eq!(odi_of(&tree), before);
    publish_now(&tree, &signers, &Silent).unwrap();
    failure.to_string()
}

#[test]
fn a_file_that_vanishes() {
    let said = meddled(|tree| fs::remove_file(tree.join("small")).unwrap());
    insta::assert_snapshot!(said, @r"
    1 path cannot be published
      small: vanished while the tree was being read
    ");
}

#[test]
fn a_job_that_begins_while_a_filled_folder_is_hashed() {
    let said = meddled_if(true, |tree| {
        fs::write(tree.join("a"), "new").unwrap();
        fs::write(tree.join("z"), "new").unwrap();
    });
    insta::assert_snapshot!(said, @r"
    2 paths cannot be published
      a: appeared while the tree was being read
      z: appeared while the tree was being read
    ");
}

#[test]
fn a_file_that_grows_while_it_is_hashed() {
    let said = meddled(|tree| {
        let mut file = fs::OpenOptions::new().append(true).open(tree.join("large")).unwrap();
        file.write_all(b"more").unwrap();
    });
    insta::assert_snapshot!(said, @r"
    1 path cannot be published
      large: changed while it was being hashed
    ");
}

#[test]
fn a_file_that_is_replaced_while_it_is_hashed() {
    let said = meddled(|tree| {
        fs::write(tree.with_extension("new"), vec![2; 2 << 20]).unwrap();
        fs::rename(tree.with_extension("new"), tree.join("large")).unwrap();
    });
    insta::assert_snapshot!(said, @r"
    1 path cannot be published
      large: changed while it was being hashed
    ");
}

#[test]
fn a_file_rewritten_in_place_under_its_former_time() {
    let said = meddled(|tree| {
        let path = tree.join("large");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        (&file).write_all(&[9; 16]).unwrap();
        file.set_modified(time).unwrap();
    });
    insta::assert_snapshot!(said, @r"
    1 path cannot be published
      large: changed while it was being hashed
    ");
}

#[test]
fn links_inside_the_tree_are_followed() {
    let m = Maintainer::with_tree(&[("pool/x.deb", "x")]);
    symlink("pool", m.tree().join("latest")).unwrap();
    symlink("../pool/x.deb", m.tree().join("pool/y.deb")).unwrap();
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let listing = m.text(&["ls", "TREE", "-r"]);
    let paths: Vec<&str> = listing.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(paths, ["latest/x.deb", "latest/y.deb", "pool/x.deb", "pool/y.deb"]);
}

#[test]
fn what_is_wrong_on_the_command_line_ends_with_2_and_says_what_would_do() {
    let m = Maintainer::with_tree(&[("a/good", "good")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let nowhere = m.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for (arguments, words) in [
        (&["ls", "TREE", "absent"][..], "the catalog has no `absent`"),
        (&["ls", "TREE", "absent", "-r"], "the catalog has no `absent`"),
        (&["sign", "TREE", "--key", "REL"], "no head waits for signatures"),
        (&["revoke", "TREE", "absent", "--key", "REL"], "`absent` is neither a path of this catalog"),
        (&["label", "TREE", "a b", "--key", "REL"], "this would make an invalid record"),
        (&["publish", nowhere, "--key", "REL"], "nowhere is not a folder"),
        (&["publish", "TREE", "--key", "REL", "--expires", "0s"], "nothing is good for no time at all"),
    ] {
        let (code, said) = m.failure(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(code, 2, "{arguments:?}: {said}");
    }
}

#[test]
fn a_key_that_does_not_fit_is_named_with_its_place_and_what_belongs_there() {
    let m = Maintainer::new();
    let init = |release: &str| {
        m.failure(&["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", release])
    };
    insta::assert_snapshot!(init("nothing").1, @r"
    odi-sign: --release-key takes a public key: an ssh-ed25519 line, or the .pub file that holds one
      because read nothing
      because No such file or directory (os error 2)
    ");
    let (code, said) = init("REL");
    assert_eq!(code, 4);
    assert!(
        said.contains("because /HERE/rel is not an OpenSSH key: it is a private key; give the .pub file"),
        "{said}"
    );
    let (_, said) = m.failure(&["keygen", "--out", "new"]);
    assert!(said.contains("--passphrase-fd FD, or --no-passphrase"), "{said}");
}

#[test]
fn what_was_done_and_what_comes_next_is_said() {
    let m = Maintainer::new();
    m.write("a", "a");
    let said = m.text(&["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"]);
    let here = m.path().display().to_string();
    assert!(said.ends_with(&format!("Next: odi-sign publish {here}/tree --key {here}/rel\n")), "{said}");
    let said = m.text(&["publish", "TREE", "--key", "REL"]);
    assert!(said.contains("\n  1 artifact, 1 byte\n") && said.contains("odi-sign push TREE URL"), "{said}");
    let said = m.text(&["label", "TREE", "stable", "--key", "REL"]);
    assert!(said.starts_with("Label stable leads to head 1.\n"), "{said}");
    let said = m.text(&["revoke", "TREE", "a", "--reason", "private", "--key", "REL"]);
    assert!(said.starts_with("Withdrew a (bytes; reason: private).\n"), "{said}");
    let said = m.text(&["trust", "show", "TREE"]);
    assert!(said.contains("\n  catalog odi1"), "{said}");
}

#[test]
fn under_an_expired_root_nothing_is_published() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("x"), "x").unwrap();
    let signers = founded(tree.path(), Timestamp(SystemClock.now().0 - 2 * DAY.as_secs()));
    let before = odi_of(tree.path());
    let failure = publish_now(tree.path(), &signers, &Silent).unwrap_err();
    assert_eq!(failure.exit_code(), 4, "{failure}");
    assert!(failure.to_string().contains("odi-sign trust change"), "{failure}");
    assert_eq!(odi_of(tree.path()), before);
}
