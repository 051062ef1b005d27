//! What `odi-directoryd check` says of configurations, word for word.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use odi_directoryd::check::check as look;
use odi_directoryd::config::{Config, PrivateAddresses};
use odi_fixtures::{ManualClock, Script, ScriptedServer, free_port, masked, masked_between, masked_lines};
use odi_manifest::CatalogId;
use odi_wire::finding::Finding;
use tempfile::TempDir;

use crate::publisher::Publisher;
use crate::world::START;

async fn judged(text: &str) -> Vec<Finding> {
    look(&Config::parse(text, PrivateAddresses::Allowed).unwrap(), &ManualClock::at(START)).await
}

/// The report as the program prints it, without what differs from run to run.
fn report(findings: &[Finding], folder: &Path, pieces: &[(&str, &str)]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let text = masked(&lines.join("\n"), &[(folder.to_str().unwrap(), "FOLDER")]);
    let text = masked(&text, pieces);
    // How fast the disk is today is no matter of the test.
    let text = masked_lines(&text, "/s durably", "(the speed of the disk)");
    let text = masked_between(&text, "is there (", " free)", "SIZE");
    masked_between(&text, "is more than there is: ", " of it free", "SIZE, SIZE")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_configuration_is_said_to_be_one() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"a")]);
    let origin = publisher.serve().await;
    let folder = TempDir::new().unwrap();
    let port = free_port().to_string();
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\ncarry = \"1 MB\"\n\
         [[catalog]]\nname = \"world\"\nid = \"{}\"\norigin = \"{}\"\n[[catalog]]\nname = \"pushed\"\nid = \"{}\"\n",
        folder.path().display(),
        publisher.id,
        origin.url(),
        CatalogId::of(b"pushed"),
    );
    let findings = judged(&text).await;
    let (origin, port) = (origin.url(), &*port);
    let pieces = [(origin.trim_end_matches('/'), "ORIGIN"), (port, "PORT")];
    insta::assert_snapshot!(report(&findings, folder.path(), &pieces), @r#"
(the speed of the disk)
ok       carry = 1.0 MB is there (SIZE free).
ok       127.0.0.1:PORT can be listened on.
warning  http://127.0.0.1:PORT is plain HTTP: who asks a directory by https is never sent there.
ok       http://127.0.0.1:PORT leads here, as seen from this machine.
ok       catalog world: ORIGIN/ publishes it.
ok       catalog pushed: there is no origin, its heads only come by push.
"#);
    assert!(!findings.iter().any(Finding::is_fatal));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_is_said_in_words() {
    let mut publisher = Publisher::new();
    publisher.publish(&[("a", b"a")]);
    let origin = publisher.serve().await;
    let empty = ScriptedServer::start(|_| Script::absent()).await.unwrap();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "no folder").unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, closed) = (held.local_addr().unwrap().port().to_string(), free_port().to_string());
    let [id, unpublished, away] =
        ["another", "unpublished", "away"].map(|name| CatalogId::of(name.as_bytes()));
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{taken}\"]\npublic_urls = [\"http://127.0.0.1:{taken}\"]\n\
         [[catalog]]\nname = \"world\"\nid = \"{id}\"\norigin = \"{}\"\n\
         [[catalog]]\nname = \"unpublished\"\nid = \"{unpublished}\"\norigin = \"{}\"\n\
         [[catalog]]\nname = \"away\"\nid = \"{away}\"\norigin = \"http://127.0.0.1:{closed}\"\n\
         [[mirror]]\ncatalog = \"away\"\nurl = \"http://127.0.0.1:{closed}/pub/\"\n\
         [[mirror]]\ncatalog = \"away\"\nurl = \"{}\"\nredirect = true\n\
         [[mirror]]\ncatalog = \"away\"\nurl = \"{}pub\"\n\
         [[peer]]\nurl = \"http://127.0.0.1:{closed}\"\n",
        folder.path().display(),
        origin.url(),
        empty.url(),
        empty.url(),
        empty.url(),
    );
    let findings = judged(&text).await;
    let (origin, empty, world) = (origin.url(), empty.url(), publisher.id.to_string());
    let pieces = [
        (origin.trim_end_matches('/'), "ORIGIN"),
        (empty.trim_end_matches('/'), "EMPTY"),
        (&*world, "WORLD"),
        (&*taken, "TAKEN"),
        (&*closed, "CLOSED"),
    ];
    insta::assert_snapshot!(report(&findings, folder.path(), &pieces), @r#"
FAILS    the identity FOLDER/data/identity.key cannot be read or made: Not a directory (os error 20).
FAILS    FOLDER/data is no folder.
FAILS    127.0.0.1:TAKEN cannot be listened on: another program has it, or another line of this file.
warning  http://127.0.0.1:TAKEN is plain HTTP: who asks a directory by https is never sent there.
warning  [[peer]] http://127.0.0.1:CLOSED/: Connection refused (os error 111).
FAILS    catalog world: ORIGIN/ publishes WORLD, and the configuration says odi15nyvk5admh4xit7i6rmpxodtxv3a2vb7jzqtam44qhq53xvbnz3a.
warning  catalog unpublished: EMPTY/ answers 404 Not Found for its first root: has it been published?
warning  catalog away: http://127.0.0.1:CLOSED/ cannot be asked: Connection refused (os error 111).
warning  [[mirror]] http://127.0.0.1:CLOSED/pub/ of catalog away: Connection refused (os error 111).
warning  [[mirror]] EMPTY/ of catalog away: it is plain HTTP: who asks by https is never sent there.
ok       [[mirror]] EMPTY/pub/ of catalog away: it answers.
"#);
}

async fn program(file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
    command.args(["check", "--allow-private-addresses", "--config"]).arg(file);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_with_78_for_whatever_keeps_a_directory_from_starting() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("directory.toml");
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let missing = program(&file).await;
    assert_eq!(missing.status.code(), Some(78));
    assert!(!said(missing.stderr).contains('\u{1b}'), "colours for nobody");
    let sound = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:0\"]\npublic_urls = [\"http://127.0.0.1:9999\"]\ncarry = \"1 MB\"\n",
        folder.path().display()
    );
    std::fs::write(&file, sound.replace("127.0.0.1:0", "here").replace("carry", "carri")).unwrap();
    let faulty = program(&file).await;
    assert_eq!(faulty.status.code(), Some(78));
    let words = said(faulty.stderr);
    assert!(words.contains("line 4: unknown field `carri`") && words.contains("line 2: `here`"), "{words}");
    assert!(
        words.contains("`statistics_days`, `denylist`, `extra_roots`"),
        "the keys that there are: {words}"
    );
    std::fs::write(&file, &sound).unwrap();
    let fine = program(&file).await;
    assert_eq!(fine.status.code(), Some(0), "{}", said(fine.stdout));
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("127.0.0.1:{}", held.local_addr().unwrap().port());
    std::fs::write(&file, sound.replace("127.0.0.1:0", &taken).replace("1 MB", "900 PB")).unwrap();
    let large = program(&file).await;
    assert_eq!(large.status.code(), Some(78));
    let words = said(large.stdout);
    assert!(words.contains("warning  carry = 900.0 PB is more than there is"), "{words}");
    assert!(words.contains(&format!("FAILS    {taken} cannot be listened on")), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_of_the_folder_and_a_hook_that_cannot_be_run_are_named() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("directoryd.toml");
    let port = free_port();
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\n\
         [hook]\ncommand = [\"/no/such/program\"]\n",
        folder.path().display()
    );
    std::fs::write(&config, text).unwrap();
    std::fs::create_dir(folder.path().join("catalogs.d")).unwrap();
    std::fs::write(folder.path().join("catalogs.d/x.toml"), "[[catalog]]\nname = \"X\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_odi-directoryd"));
    command.args(["check", "--allow-private-addresses", "--config"]).arg(&config);
    let said = command.output().unwrap();
    let words = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(78), "{words}");
    for wanted in
        ["catalogs.d/x.toml: line ", "nothing of this file is taken", "/no/such/program cannot be run"]
    {
        assert!(words.contains(wanted), "{wanted} in {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denylist_is_judged_with_its_file_and_the_catalogs_that_it_names() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("directoryd.toml");
    let port = free_port();
    let text = format!(
        "data_dir = \"{}/data\"\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\ndenylist = \"denied\"\n\
         [[catalog]]\nname = \"debian\"\nid = \"{}\"\n",
        folder.path().display(),
        CatalogId::of(b"pushed"),
    );
    std::fs::write(&config, text).unwrap();
    let missing = program(&config).await;
    let list = folder.path().join("denied");
    let words = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(78), "{words}");
    assert!(words.contains(&format!("denylist {}: No such file", list.display())), "{words}");

    std::fs::write(&list, "/debian/pool/x.deb\n/debain/pool/y.deb\n/debain/pool/z.deb\n").unwrap();
    let mistaken = program(&config).await;
    let words = String::from_utf8(mistaken.stdout).unwrap();
    assert_eq!(mistaken.status.code(), Some(0), "{words}");
    let said: Vec<&str> = words.lines().filter(|line| line.contains("denylist")).collect();
    assert_eq!(
        said,
        ["warning  denylist: it denies paths of `debain`, and no [[catalog]] is called that."],
        "{words}"
    );
}
