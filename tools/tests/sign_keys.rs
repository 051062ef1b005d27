//! Keys: passphrases from a descriptor, files that others can read, keys in an ssh-agent, and thresholds.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may panic on what it did not expect"
)]

#[path = "support/maintainer.rs"]
mod maintainer;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use maintainer::Maintainer;
use serde_json::Value;
use skip::skip;

/// Runs `odi-sign` with a passphrase on its standard input, told to read it from there.
fn with_passphrase(m: &Maintainer, arguments: &[&str], passphrase: &str) -> Output {
    let mut command = m.command(arguments);
    command.args(["--passphrase-fd", "0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(passphrase.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_key_under_a_passphrase_signs_only_with_it() {
    let m = Maintainer::new();
    m.write("x", "x");
    fs::remove_file(m.path().join("rel")).unwrap();
    fs::remove_file(m.path().join("rel.pub")).unwrap();
    assert!(with_passphrase(&m, &["keygen", "--out", "REL"], "correct horse\n").status.success());
    let text = fs::read_to_string(m.path().join("rel")).unwrap();
    assert!(text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    assert_eq!(fs::metadata(m.path().join("rel")).unwrap().permissions().mode() & 0o777, 0o600);
    m.ok(&["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"]);
    let publish = ["publish", "TREE", "--key", "REL"];
    let wrong = with_passphrase(&m, &publish, "battery staple\n");
    assert_eq!(wrong.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("the passphrase does not open"));
    assert!(with_passphrase(&m, &publish, "correct horse\n").status.success());
    // A passphrase is never taken for granted, and no terminal means no passphrase.
    let empty = with_passphrase(&m, &["keygen", "--out", "other"], "\n");
    assert_eq!(empty.status.code(), Some(4));
}

#[test]
fn a_key_file_is_neither_overwritten_nor_shared() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    let (code, said) = m.failure(&["keygen", "--out", "REL", "--no-passphrase"]);
    assert_eq!(code, 4);
    insta::assert_snapshot!(said, @"odi-sign: /HERE/rel exists already; a key file is never overwritten");
    fs::set_permissions(m.path().join("rel"), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, said) = m.failure(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(code, 4);
    insta::assert_snapshot!(said, @"odi-sign: /HERE/rel can be read by others (mode 0640); run chmod 600 on it");
    let (code, said) =
        m.failure(&["init", "TREE", "--name", "x", "--root-key", "ROOT", "--release-key", "ROOT"]);
    assert_eq!(code, 4);
    assert!(said.contains("it is a private key; give the .pub file beside it"), "{said}");
}

#[test]
fn keys_of_ssh_keygen_are_keys() {
    let m = Maintainer::new();
    m.write("x", "x");
    let key = m.path().join("id");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f"])
        .arg(&key)
        .status();
    let made = match made {
        Ok(made) => made,
        Err(error) => return skip(&format!("ssh-keygen does not run: {error}")),
    };
    assert!(made.success());
    let public = m.path().join("id.pub");
    let (key, public) = (key.to_str().unwrap(), public.to_str().unwrap());
    m.ok(&["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", public]);
    m.ok(&["publish", "TREE", "--key", key]);
}

/// An ssh-agent that ends with the test.
struct Agent {
    process: Child,
    socket: String,
}

impl Agent {
    /// An error where there is no ssh-agent.
    fn start(m: &Maintainer) -> std::io::Result<Self> {
        let socket = m.path().join("agent").to_str().unwrap().to_owned();
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a", &socket]).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        // It prints its socket once it listens.
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Ok(Self { process, socket })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_key_in_an_agent_signs() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    let publish = ["publish", "TREE", "--key", "RELPUB"];
    let (code, said) = m.failure(&publish);
    assert_eq!(code, 4);
    assert!(said.contains("SSH_AUTH_SOCK is not set"), "{said}");
    let agent = match Agent::start(&m) {
        Ok(agent) => agent,
        Err(error) => return skip(&format!("ssh-agent does not run: {error}")),
    };
    let not_held = m.command(&publish).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    assert_eq!(not_held.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&not_held.stderr).contains("does not hold"));
    let added = Command::new("ssh-add")
        .arg("-q")
        .arg(m.path().join("rel"))
        .env("SSH_AUTH_SOCK", &agent.socket)
        .status();
    assert!(added.unwrap().success());
    fs::remove_file(m.path().join("rel")).unwrap();
    let signed = m.command(&publish).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    m.ok(&["verify", "TREE"]);
}

/// A maintainer with a second release key, both needed.
fn two_of_two() -> (Maintainer, String, String) {
    let m = Maintainer::new();
    m.write("x", "x");
    let second = m.path().join("second").to_str().unwrap().to_owned();
    let public = format!("{second}.pub");
    m.ok(&["keygen", "--out", &second, "--no-passphrase"]);
    m.ok(&[
        "init",
        "TREE",
        "--name",
        "demo",
        "--root-key",
        "ROOT",
        "--release-key",
        "RELPUB",
        "--release-key",
        &public,
        "--release-threshold",
        "2",
    ]);
    (m, second, public)
}

#[test]
fn a_head_waits_for_its_threshold() {
    let (m, second, _) = two_of_two();
    let waiting = m.json(&["publish", "TREE", "--key", "REL"]);
    assert_eq!((&waiting["state"], &waiting["signatures"]), (&Value::from("waiting"), &Value::from(1)));
    assert!(!m.tree().join(".odi/head").exists());
    // Another publish would make a second head of that number.
    m.write("x", "other");
    let (code, said) = m.failure(&["publish", "TREE", "--key", "REL"]);
    assert_eq!(code, 2);
    assert!(said.contains("head 1 waits for signatures (1 of 2)"), "{said}");
    // The same key again is no second signature.
    assert_eq!(m.json(&["sign", "TREE", "--key", "REL"])["state"], "waiting");
    let signed = m.json(&["sign", "TREE", "--key", &second]);
    assert_eq!((&signed["state"], &signed["head"]), (&Value::from("published"), &waiting["head"]));
    let (code, _) = m.failure(&["sign", "TREE", "--key", &second]);
    assert_eq!(code, 2);
    let both = m.json(&["publish", "TREE", "--key", "REL", "--key", &second]);
    assert_eq!((&both["state"], &both["seq"]), (&Value::from("published"), &Value::from(2)));
}

#[test]
fn a_waiting_head_can_be_dropped() {
    let (m, second, _) = two_of_two();
    let first = m.json(&["publish", "TREE", "--key", "REL"]);
    m.write("x", "other");
    let again = m.json(&["publish", "TREE", "--key", "REL", "--discard-waiting"]);
    assert_eq!(again["seq"], 1);
    assert_ne!(again["head"], first["head"]);
    assert_eq!(m.json(&["sign", "TREE", "--key", &second])["state"], "published");
}

#[test]
fn a_stolen_release_key_loses_its_heads() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    m.write("x", "evil");
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let new = m.path().join("third").to_str().unwrap().to_owned();
    let public = format!("{new}.pub");
    m.ok(&["keygen", "--out", &new, "--no-passphrase"]);
    let root = m.json(&[
        "trust",
        "change",
        "TREE",
        "--root-key",
        "ROOT",
        "--add-release",
        &public,
        "--remove-release",
        "RELPUB",
        "--floor",
        "1",
    ]);
    assert_eq!(
        (&root["version"], &root["epoch"], &root["floor"]),
        (&Value::from(2), &Value::from(2), &Value::from(1))
    );
    assert_eq!(m.failure(&["publish", "TREE", "--key", "REL"]).0, 4);
    m.write("x", "good");
    let head = m.json(&["publish", "TREE", "--key", &new]);
    assert_eq!((&head["seq"], &head["changed"]), (&Value::from(3), &Value::from(1)));
    m.ok(&["verify", "TREE"]);
    let log = m.json(&["log", "TREE"]);
    let seqs: Vec<&Value> = log.as_array().unwrap().iter().map(|head| &head["seq"]).collect();
    assert_eq!(seqs, [3, 1]);
}

#[test]
fn a_key_that_is_not_in_the_role_cannot_be_taken_from_it() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let stranger = fs::read_to_string(m.path().join("root.pub")).unwrap();
    let release = fs::read_to_string(m.path().join("rel.pub")).unwrap();
    let shown = |line: &str| line.trim().split(' ').take(2).collect::<Vec<_>>().join(" ");
    for (option, key, role) in [
        ("--remove-release", &stranger, "a release key"),
        ("--remove-root", &release, "a root key"),
        ("--remove-revoke", &release, "a revoke key"),
        ("--remove-witness", &release, "a witness"),
    ] {
        let (code, said) = m.failure(&["trust", "change", "TREE", "--root-key", "ROOT", option, key.trim()]);
        assert_eq!(code, 4, "{option}: {said}");
        let expected = format!("odi-sign: {} is not {role} of this catalog\n", shown(key));
        assert_eq!(said, expected, "{option}");
    }
    assert_eq!(m.json(&["trust", "show", "TREE"])["version"], 1);
}

#[test]
fn trust_changes_only_once_no_head_waits() {
    let (m, second, public) = two_of_two();
    let waiting = m.json(&["publish", "TREE", "--key", "REL"]);
    let change = ["trust", "change", "TREE", "--root-key", "ROOT", "--release-threshold", "1"];
    let (code, said) = m.failure(&change);
    assert_eq!(code, 2);
    assert!(said.contains("head 1 waits for signatures (1 of 2)"), "{said}");
    m.ok(&["sign", "TREE", "--key", &second]);
    m.ok(&change);
    m.write("x", "other");
    assert_eq!(m.json(&["publish", "TREE", "--key", "REL"])["seq"], 2);
    assert_ne!(m.json(&["status", "TREE"])["head"], waiting["head"]);
    // A maintainer whose second key is lost can drop the head that waits for it.
    m.ok(&["trust", "change", "TREE", "--root-key", "ROOT", "--release-threshold", "2"]);
    m.write("x", "a third");
    assert_eq!(m.json(&["publish", "TREE", "--key", "REL"])["state"], "waiting");
    let lost = ["--release-threshold", "1", "--remove-release", &public, "--discard-waiting"];
    m.ok(&[&change[..5], &lost].concat());
    assert_eq!(m.json(&["publish", "TREE", "--key", "REL"])["state"], "published");
}

#[test]
fn a_change_of_trust_finishes_a_head_that_a_crash_left_in_the_journal() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let odi = m.tree().join(".odi");
    let first = fs::read(odi.join("head")).unwrap();
    m.write("x", "other");
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let second = fs::read(odi.join("head")).unwrap();
    // As if the power had gone before `heads/2` and `head` were written.
    fs::write(odi.join("pending"), &second).unwrap();
    fs::write(odi.join("head"), &first).unwrap();
    fs::remove_file(odi.join("heads/2")).unwrap();
    let new = m.path().join("third").to_str().unwrap().to_owned();
    let public = format!("{new}.pub");
    m.ok(&["keygen", "--out", &new, "--no-passphrase"]);
    let change = ["trust", "change", "TREE", "--root-key", "ROOT", "--add-release", &public];
    let root = m.json(&[&change[..], &["--remove-release", "RELPUB"]].concat());
    assert_eq!(root["notes"][0], "finished head 2, which a crash had interrupted");
    assert_eq!(root["floor"], 2);
    assert_eq!(fs::read(odi.join("head")).unwrap(), second);
    assert_eq!(m.json(&["publish", "TREE", "--key", &new])["seq"], 3);
    m.ok(&["verify", "TREE"]);
}

#[test]
fn root_keys_countersign_until_both_thresholds_are_met() {
    let m = Maintainer::with_tree(&[("x", "x")]);
    m.ok(&["publish", "TREE", "--key", "REL"]);
    let second = m.path().join("second").to_str().unwrap().to_owned();
    let public = format!("{second}.pub");
    m.ok(&["keygen", "--out", &second, "--no-passphrase"]);
    let change =
        ["trust", "change", "TREE", "--root-key", "ROOT", "--add-root", &public, "--root-threshold", "2"];
    let waits = m.json(&change);
    assert_eq!(waits["waits"]["signatures"], 1);
    assert_eq!(m.json(&["trust", "show", "TREE"])["version"], 1);
    let done = m.json(&["trust", "countersign", "TREE", "--root-key", &second]);
    assert!(done["waits"].is_null());
    assert_eq!(m.json(&["trust", "show", "TREE"])["version"], 2);
    // The new root is worth a head, so that followers hear of it.
    assert_eq!(m.json(&["publish", "TREE", "--key", "REL"])["seq"], 2);
    m.ok(&["verify", "TREE"]);
}

#[test]
fn whoever_names_witnesses_in_vain_or_needs_each_is_warned() {
    let m = Maintainer::new();
    m.write("x", "x");
    let init = ["init", "TREE", "--name", "demo", "--root-key", "ROOT", "--release-key", "RELPUB"];
    let said = m.text(&[&init[..], &["--witness", "RELPUB"]].concat());
    assert!(said.contains("WARNING: all of the 1 named directories must confirm"), "{said}");
    let unheeded = Maintainer::new();
    unheeded.write("x", "x");
    let said = unheeded.text(&[&init[..], &["--witness", "RELPUB", "--witness-quorum", "0"]].concat());
    assert!(said.contains("WARNING: with a witness quorum of 0 there is no freeze protection"), "{said}");
    let silent = Maintainer::new();
    assert!(!silent.text(&init).contains("WARNING"));
}
