//! Debian's `pebble` with a name server that sends every name to loopback; both end with the test.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use odi_fixtures::{TestAuthority, free_port};

/// How long its certificates live: renewed at two thirds of that.
const LIFE_SECONDS: u32 = 15;

/// A running authority.
pub(crate) struct Pebble {
    children: Vec<Child>,
    port: u16,
    management_port: u16,
}

impl Pebble {
    pub(crate) fn is_installed() -> bool {
        ["pebble", "pebble-challtestsrv"]
            .iter()
            .all(|program| Command::new(program).arg("-h").output().is_ok())
    }

    /// Writes its settings and `root.pem`, which its own server is verified with, into the folder. It looks for proofs
    /// at these two ports.
    pub(crate) fn start(folder: &Path, tls_port: u16, http_port: u16) -> Self {
        let (certificate, key) = TestAuthority::new().issue_into(folder, &["127.0.0.1"]).unwrap();
        let [port, management_port, dns_port, dns_management_port] = std::array::from_fn(|_| free_port());
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "certificateValidityPeriod": LIFE_SECONDS,
        }});
        let config = folder.join("pebble.json");
        fs::write(&config, settings.to_string()).unwrap();
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.args(["-dns01", &format!("127.0.0.1:{dns_port}")]);
        names.args(["-management", &format!("127.0.0.1:{dns_management_port}")]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(config).args(["-dnsserver", &format!("127.0.0.1:{dns_port}")]);
        // Every order is proved anew, and at once.
        pebble.env("PEBBLE_AUTHZREUSE", "0").env("PEBBLE_VA_NOSLEEP", "1");
        let children = [names, pebble]
            .map(|mut command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        Self { children: children.into(), port, management_port }
    }

    pub(crate) fn directory_url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The root of the certificates that it issues.
    pub(crate) fn root_url(&self) -> String {
        format!("https://127.0.0.1:{}/roots/0", self.management_port)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}
