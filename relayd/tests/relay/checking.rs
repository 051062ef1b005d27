//! What `odi-relayd check` says of configurations, word for word.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use odi_fixtures::{ManualClock, TestAuthority, free_port, masked, masked_between, masked_lines};
use odi_manifest::{CatalogId, Clock, SigningKey, SystemClock};
use odi_relayd::check::{Finding, check};
use odi_relayd::config::{Config, PrivateAddresses};

use crate::lab::{Lab, Relay};

/// A port that nobody has now.
/// The report as the program prints it, without what differs from run to run.
fn report(findings: &[Finding], folder: &Path, pieces: &[(&str, &str)]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let text = masked(&lines.join("\n"), &[(folder.to_str().unwrap(), "FOLDER")]);
    let text = masked(&text, pieces);
    // How fast the disk is today is no matter of the test.
    let text = masked_lines(&text, "/s durably", "(the speed of the disk)");
    let text = masked_between(&text, "is there (", " free)", "SIZE");
    let text = masked_between(&text, "is more than there is: ", " of it free", "SIZE, SIZE");
    masked_between(&text, "the clock says ", " s apart", "THIS, that of DIRECTORY THAT, N")
}

async fn judged(text: &str, clock: &dyn Clock) -> Vec<Finding> {
    check(&Config::parse(text, PrivateAddresses::Allowed).unwrap(), clock).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_configuration_is_said_to_be_one() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let folder = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port().to_string(), free_port().to_string());
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\n\
         admin = \"127.0.0.1:{admin}\"\ndisk = \"100 MB\"\n[[directory]]\nurl = \"{}\"\ncatalogs = [\"sam*\"]\n",
        folder.path().display(),
        lab.directory.url
    );
    let findings = judged(&text, &SystemClock).await;
    let key = lab.directory.key().to_string();
    let pieces = [(&*key, "KEY"), (&*lab.directory.url, "DIRECTORY"), (&*port, "PORT"), (&*admin, "ADMIN")];
    insta::assert_snapshot!(report(&findings, folder.path(), &pieces), @r#"
(the speed of the disk)
ok       disk = 100.0 MB is there (SIZE free).
ok       127.0.0.1:PORT can be listened on.
ok       127.0.0.1:ADMIN can be listened on.
warning  http://127.0.0.1:PORT is plain HTTP: who asks a directory by https is never sent there.
ok       http://127.0.0.1:PORT leads here, as seen from this machine.
ok       DIRECTORY answers; its key is KEY.
ok       the clock agrees with that of DIRECTORY to within 45 s.
ok       DIRECTORY: 1 of 1 catalogs are wanted, 1 B in all.
"#);
    assert!(!findings.iter().any(Finding::is_fatal));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_is_said_in_words() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/identity.key"), "lost\n").unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().port().to_string();
    let (port, closed) = (free_port().to_string(), free_port().to_string());
    let other = SigningKey::from_seed(&[9; 32]).public_key().to_string();
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{taken}\", \"192.0.2.1:{port}\", \"127.0.0.1:{port}\"]\n\
         public_urls = [\"http://127.0.0.1:{closed}\", \"{origin}\", \"{directory}\", \"http://no-such-name.invalid\"]\n\
         admin = \"127.0.0.1:{port}\"\ndisk = \"900 PB\"\n\
         [[directory]]\nurl = \"http://127.0.0.1:{closed}\"\n\
         [[directory]]\nurl = \"{directory}\"\nkey = \"{other}\"\ncatalogs = [\"nothing-*\"]\ntags = [\"none\"]\n\
         ids = {{ sample = \"{id}\" }}\n",
        folder.path().display(),
        origin = lab.origin.url().trim_end_matches('/'),
        directory = lab.directory.url,
        id = CatalogId::of(b"another"),
    );
    let late = ManualClock::at(SystemClock.now().plus(Duration::from_secs(3600)));
    let findings = judged(&text, &late).await;
    let (key, sample) = (lab.directory.key().to_string(), lab.publisher.id().to_string());
    let origin = lab.origin.url();
    let pieces = [
        (&*key, "KEY"),
        (&*other, "OTHER KEY"),
        (&*sample, "SAMPLE"),
        (&*lab.directory.url, "DIRECTORY"),
        (origin.trim_end_matches('/'), "ORIGIN"),
        (&*taken, "TAKEN"),
        (&*closed, "CLOSED"),
        (&*port, "PORT"),
    ];
    insta::assert_snapshot!(report(&findings, folder.path(), &pieces), @r#"
FAILS    the identity FOLDER/data/identity.key is not a line of 64 hexadecimal digits.
(the speed of the disk)
FAILS    disk = 900.0 PB is more than there is: SIZE, SIZE of it free. Nothing more would be taken when that is full.
FAILS    127.0.0.1:TAKEN cannot be listened on: another program has it, or another line of this file.
FAILS    192.0.2.1:PORT cannot be listened on: this machine does not have that address.
ok       127.0.0.1:PORT can be listened on.
FAILS    127.0.0.1:PORT cannot be listened on: another program has it, or another line of this file.
warning  http://127.0.0.1:CLOSED is plain HTTP: who asks a directory by https is never sent there.
warning  ORIGIN is plain HTTP: who asks a directory by https is never sent there.
warning  DIRECTORY is plain HTTP: who asks a directory by https is never sent there.
warning  http://no-such-name.invalid is plain HTTP: who asks a directory by https is never sent there.
warning  http://127.0.0.1:CLOSED cannot be reached from here: Connection refused (os error 111). Whether others can, somebody outside must try.
warning  ORIGIN does not lead here but to something that answers 404 Not Found: look where its name and its port go.
warning  DIRECTORY does not lead here but to the directory KEY: look where its name and its port go.
FAILS    http://no-such-name.invalid: no address is known for no-such-name.invalid.
FAILS    http://127.0.0.1:CLOSED does not answer as a directory: Connection refused (os error 111).
FAILS    DIRECTORY has the key KEY, and the configuration says OTHER KEY.
FAILS    the clock says THIS, that of DIRECTORY THAT, N s apart: what it signs will be refused. Set the clock.
warning  DIRECTORY: 0 of 1 catalogs are wanted, 0 B in all.
warning  DIRECTORY has no catalog that `nothing-*` names.
warning  DIRECTORY has no catalog with the tag `none`.
FAILS    DIRECTORY calls SAMPLE `sample`, and the configuration says odi15nyvk5admh4xit7i6rmpxodtxv3a2vb7jzqtam44qhq53xvbnz3a: it is left out.
"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_relay_what_it_has_is_known_to_be_its_own() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let relay = Relay::with(&[&lab.directory], "admin = \"127.0.0.1:0\"\n").await;
    let port = relay.url.rsplit(':').next().unwrap().to_owned();
    let findings = check(&relay.config(), &SystemClock).await;
    let key = lab.directory.key().to_string();
    let pieces = [(&*key, "KEY"), (&*lab.directory.url, "DIRECTORY"), (&*port, "PORT")];
    insta::assert_snapshot!(report(&findings, relay.folder.path(), &pieces), @r#"
ok       a relay runs on FOLDER: what it holds open is its own.
(the speed of the disk)
ok       disk = 1.0 GB is there (SIZE free).
ok       127.0.0.1:PORT is taken, by the relay that runs.
ok       127.0.0.1:0 can be listened on.
warning  http://127.0.0.1:PORT is plain HTTP: who asks a directory by https is never sent there.
ok       http://127.0.0.1:PORT leads here, as seen from this machine.
ok       DIRECTORY answers; its key is KEY.
ok       the clock agrees with that of DIRECTORY to within 45 s.
ok       DIRECTORY: 1 of 1 catalogs are wanted, 1 B in all.
"#);
    assert!(!findings.iter().any(Finding::is_fatal));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_looked_at_and_tried() {
    let lab = Lab::start(&[("a", b"a")]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let port = free_port().to_string();
    let key = lab.directory.key().to_string();
    let pieces = [(&*key, "KEY"), (&*lab.directory.url, "DIRECTORY"), (&*port, "PORT")];
    let mut said = Vec::new();
    for name in ["localhost", "other.example"] {
        authority.issue_into(folder.path(), &[name]).unwrap();
        let text = format!(
            "data_dir = \"{0}/data\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"https://localhost:{port}\"]\n\
             disk = \"100 MB\"\nextra_roots = [\"{0}/root.pem\"]\n\
             [tls]\ncertificate = \"{0}/server.pem\"\nkey = \"{0}/server.key\"\n[[directory]]\nurl = \"{1}\"\n",
            folder.path().display(),
            lab.directory.url
        );
        let findings = judged(&text, &SystemClock).await;
        let text = report(&findings, folder.path(), &pieces);
        said.push(masked_between(&text, "for another ", " days", "MANY"));
    }
    insta::assert_snapshot!(said.join("\n\n"), @r#"
(the speed of the disk)
ok       disk = 100.0 MB is there (SIZE free).
ok       the certificate covers the public URLs for another MANY days.
warning  everybody on this machine can read the key FOLDER/server.key.
ok       127.0.0.1:PORT can be listened on.
ok       https://localhost:PORT leads here, as seen from this machine.
ok       DIRECTORY answers; its key is KEY.
ok       the clock agrees with that of DIRECTORY to within 45 s.
ok       DIRECTORY: 1 of 1 catalogs are wanted, 1 B in all.

(the speed of the disk)
ok       disk = 100.0 MB is there (SIZE free).
FAILS    the certificate does not cover localhost.
warning  everybody on this machine can read the key FOLDER/server.key.
ok       127.0.0.1:PORT can be listened on.
warning  https://localhost:PORT cannot be reached from here: invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for DnsName("other.example"). Whether others can, somebody outside must try.
ok       DIRECTORY answers; its key is KEY.
ok       the clock agrees with that of DIRECTORY to within 45 s.
ok       DIRECTORY: 1 of 1 catalogs are wanted, 1 B in all.
"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unknown_key_and_every_other_fault_of_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relayd.toml");
    std::fs::write(
        &file,
        "data_dir = \"/tmp/x\"\nlisten = [\"here\"]\npublic_urls = [\"https://relay.example.net\"]\ndsik = \"1 TB\"\n\
         disk = \"a lot\"\n[[directory]]\nurl = \"https://everest.example.org\"\ncatalog = [\"debian\"]\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi-relayd"));
    command.args(["check", "--config"]).arg(&file).env("RUST_LOG", "info");
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(78));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!said.contains('\u{1b}'), "colours for nobody: {said}");
    let faults: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once("line ")?.1)).collect();
    insta::assert_snapshot!(faults.join("\n"), @r#"
2: `here`: invalid socket address syntax
4: unknown field `dsik`, expected one of `data_dir`, `listen`, `listen_plain`, `public_urls`, `disk`, `ram_cache`, `bandwidth`, `transfer`, `time_zone`, `window`, `denylist`, `vantage`, `federation`, `admin`, `proxies`, `extra_roots`, `tls`, `place`, `directory`
5: `a lot` is not a size such as "2 TB" or "500 GiB"
8: unknown field `catalog`, expected one of `url`, `key`, `catalogs`, `tags`, `ids`
"#);
}
