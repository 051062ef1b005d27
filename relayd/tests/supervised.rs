//! The program under a supervisor: what it says over systemd's socket, and what signals and `drain` do.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use odi_fixtures::free_port;

struct Supervised {
    child: Child,
    socket: UnixDatagram,
    folder: tempfile::TempDir,
    admin: u16,
}

fn relayd(folder: &Path, words: &[&str]) -> Command {
    // A watched process is told its own number.
    let mut command = Command::new("sh");
    command.args(["-c", "export WATCHDOG_PID=$$; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_odi-relayd")]);
    command.args(words).arg("--allow-private-addresses").arg("--config").arg(folder.join("relayd.toml"));
    command.env_remove("RUST_LOG").stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

impl Supervised {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, admin) = (free_port(), free_port());
        let config = format!(
            "data_dir = {:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"http://127.0.0.1:{port}\"]\ndisk = \"1 GB\"\n\
             admin = \"127.0.0.1:{admin}\"\nbandwidth = \"80 Mbit/s\"\n[[directory]]\nurl = \"http://127.0.0.1:{}\"\n",
            folder.path().join("data"),
            free_port()
        );
        std::fs::write(folder.path().join("relayd.toml"), config).unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let child = relayd(folder.path(), &["--log-json"])
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .env("WATCHDOG_USEC", "400000")
            .spawn()
            .unwrap();
        Self { child, socket, folder, admin }
    }

    /// Waits until the program says this.
    fn says(&self, what: &str) {
        let mut buffer = [0; 256];
        loop {
            let read = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}"));
            if String::from_utf8_lossy(buffer.get(..read).unwrap()).lines().any(|line| line == what) {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn edit(&self, from: &str, to: &str) {
        let file = self.folder.path().join("relayd.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        std::fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Its exit code and all that it logged.
    fn ended(&mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // For a test that failed half way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_tells_its_supervisor_how_it_is_and_reloads_on_sighup() {
    let mut relay = Supervised::start();
    relay.says("READY=1");
    relay.says("WATCHDOG=1");
    relay.edit("80 Mbit/s", "16 Mbit/s");
    relay.edit("1 GB", "2 GB");
    relay.signal("HUP");
    relay.says("RELOADING=1");
    relay.says("READY=1");
    relay.edit("bandwidth", "bandwith");
    relay.signal("HUP");
    relay.says("RELOADING=1");
    relay.says("READY=1");
    relay.signal("TERM");
    relay.says("STOPPING=1");
    let (code, log) = relay.ended();
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let said = |field: &str, words: &str| {
        lines.iter().any(|line| line["fields"][field].as_str().is_some_and(|text| text.contains(words)))
    };
    assert!(said("key", "disk"), "what keeps its former value is named: {log}");
    assert!(said("fault", "bandwith"), "a faulty file is told with its key: {log}");
}

#[test]
fn drain_makes_it_leave_and_waits_for_its_end() {
    let mut relay = Supervised::start();
    relay.says("READY=1");
    let asked = relayd(relay.folder.path(), &["drain"]).output().unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(
        asked.status.success() && said.ends_with("it has ended\n"),
        "{said}{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    assert!(TcpListener::bind(("127.0.0.1", relay.admin)).is_ok());
    assert_eq!(relay.ended().0, Some(0));
}
