//! The server that everybody knows, set up for nothing but static files.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::{self, Pinned};

pub(super) const PROGRAM: &str = "nginx";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) process: Pinned,
    /// Without a path.
    pub(super) plain: String,
}

impl Nginx {
    /// Serves `tree` with one worker on one core.
    pub(super) fn start(work: &Path, tree: &Path, cpu: usize) -> Result<Self> {
        let folder = work.join("nginx");
        std::fs::create_dir_all(&folder).context("make a folder for nginx")?;
        let port = free_port()?;
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text(&folder, tree, port)).context("write nginx.conf")?;
        let mut command = Command::new(process::find(PROGRAM)?);
        command.arg("-c").arg(&config).arg("-p").arg(&folder);
        let process = Pinned::start(command.stdout(Stdio::null()).stderr(Stdio::null()), cpu)?;
        wait_for(port, &folder)?;
        Ok(Self { process, plain: format!("http://127.0.0.1:{port}") })
    }
}

fn text(folder: &Path, tree: &Path, port: u16) -> String {
    let (folder, tree) = (folder.display(), tree.display());
    format!(
        "daemon off; worker_processes 1; user root; pid {folder}/pid; error_log {folder}/log;\n\
         worker_rlimit_nofile 8192;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
           access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; default_type application/octet-stream;\n\
           keepalive_timeout 300; keepalive_requests 1000000000;\n\
           open_file_cache max=20000 inactive=300s; open_file_cache_valid 300s;\n\
           client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n\
           uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n\
           server {{ listen 127.0.0.1:{port}; root {tree}; }}\n\
         }}\n"
    )
}

/// A port of loopback that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn wait_for(port: u16, folder: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("nginx does not start: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
