//! docs/clients/maven.md: Maven resolves an artifact, and the plugin that does so, with strict check sums.

use std::fs;
use std::path::Path;
use std::process::Command;

use odi_fixtures::noise;

use crate::scenario::{Client, Scenario, User};
use crate::skip::skip;

/// Among the files that the plugin consists of.
const FATAL: u64 = 4_000_000;
/// Where Debian's packages of Maven's own artifacts lie, in the layout of a repository.
const DEBIAN: &str = "/usr/share/maven-repo";

fn artifact(folder: &Path, version: &str) {
    let at = folder.join("incoming/com/example/odi-hello").join(version);
    fs::create_dir_all(&at).unwrap();
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>com.example</groupId><artifactId>odi-hello</artifactId>\
         <version>{version}</version></project>\n"
    );
    fs::write(at.join(format!("odi-hello-{version}.pom")), pom).unwrap();
    fs::write(at.join(format!("odi-hello-{version}.jar")), noise(1 << 20, 9)).unwrap();
    let versions = if version == "1.0" {
        "<version>1.0</version>"
    } else {
        "<version>1.0</version><version>1.1</version>"
    };
    let metadata = format!(
        "<metadata><groupId>com.example</groupId><artifactId>odi-hello</artifactId><versioning><release>{version}</release>\
         <versions>{versions}</versions></versioning></metadata>\n"
    );
    fs::write(at.parent().unwrap().join("maven-metadata.xml"), metadata).unwrap();
}

/// The newest that somebody has.
fn version(user: &User) -> String {
    let all = fs::read_dir(user.folder.join("local/com/example/odi-hello")).unwrap().flatten();
    let whole = all.filter(|entry| {
        let version = entry.file_name().into_string().unwrap();
        entry.path().join(format!("odi-hello-{version}.jar")).exists()
    });
    whole.map(|entry| entry.file_name().into_string().unwrap()).max().expect("an artifact")
}

/// What the plugin needs, taken from Debian's packages of it as Maven itself takes it; nothing, aloud, if they are not here.
fn plugin(scenario: &mut Scenario) -> Option<()> {
    let plugin = Path::new(DEBIAN).join("org/apache/maven/plugins/maven-dependency-plugin");
    let Ok(mut versions) = fs::read_dir(plugin) else {
        skip("libmaven-dependency-plugin-java is not installed");
        return None;
    };
    let version = versions
        .find_map(|entry| entry.unwrap().file_name().into_string().ok().filter(|name| name != "debian"));
    let version = version.expect("a version of the plugin");
    let folder = scenario.maintainer();
    let settings = format!(
        "<settings><localRepository>{}</localRepository><mirrors><mirror><id>debian</id><mirrorOf>*</mirrorOf>\
         <url>file://{DEBIAN}</url></mirror></mirrors></settings>",
        folder.join("incoming").display()
    );
    fs::write(folder.join("settings.xml"), settings).unwrap();
    let mut get = Command::new("mvn");
    get.args(["--batch-mode", "--quiet", "--settings", "settings.xml", "-Dtransitive=false"])
        .current_dir(folder);
    get.arg(format!("org.apache.maven.plugins:maven-dependency-plugin:{version}:get"));
    let got = get.arg("-Dartifact=commons-io:commons-io:debian").env("HOME", folder).output().unwrap();
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stdout));
    scenario.swap("PLUGIN-VERSION", &version);
    Some(())
}

/// Java has a store of authorities of its own.
fn trust(home: &Path) {
    let mut import = Command::new("keytool");
    import.args(["-importcert", "-noprompt", "-storepass", "nothing", "-file", "../root.pem"]);
    let imported = import.args(["-keystore", "authorities"]).current_dir(home).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
}

#[test]
fn maven_resolves_an_artifact() {
    let Some(mut scenario) = Scenario::begin_over_tls("maven", &["keytool", "mvn", "sha1sum"]) else {
        return;
    };
    let Some(()) = plugin(&mut scenario) else { return };
    artifact(scenario.maintainer(), "1.0");
    scenario.swap("ARTIFACT", "com.example:odi-hello");
    let client = Client { row: "mvn", install: "use", update: "use", fatal: FATAL, version: &version };
    let store = |user: &User| trust(&user.folder);
    let trusting = "mvn -Djavax.net.ssl.trustStore={here}/authorities -Djavax.net.ssl.trustStorePassword=nothing --batch";
    scenario.swap("mvn --batch", trusting);
    scenario.play(&[client], ["1.0", "1.1"], store, |folder| artifact(folder, "1.1"));
}
