//! The server that everybody knows, set up for nothing but static files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sites::Sites;
use super::tls::Certificate;
use crate::bench::process::{self, Pinned};

pub(super) const PROGRAM: &str = "nginx";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) process: Pinned,
    pub(super) sites: Sites,
}

impl Nginx {
    /// Serves `tree` with one worker on one core.
    pub(super) fn start(work: &Path, tree: &Path, certificate: &Certificate, cpu: usize) -> Result<Self> {
        let folder = work.join("nginx");
        std::fs::create_dir_all(&folder).context("make a folder for nginx")?;
        let sites = Sites::free()?;
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text(&folder, tree, certificate, &sites)).context("write nginx.conf")?;
        let mut command = Command::new(process::find(PROGRAM)?);
        command.arg("-c").arg(&config).arg("-p").arg(&folder);
        let process = Pinned::start(command.stdout(Stdio::null()).stderr(Stdio::null()), cpu)?;
        wait_for(&sites, &folder)?;
        Ok(Self { process, sites })
    }
}

fn text(folder: &Path, tree: &Path, certificate: &Certificate, sites: &Sites) -> String {
    let (folder, tree) = (folder.display(), tree.display());
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    let (plain, tls) = (sites.plain_addr, sites.tls_addr);
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
           ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n\
           server {{ listen {plain}; listen {tls} ssl; root {tree}; }}\n\
         }}\n"
    )
}

fn wait_for(sites: &Sites, folder: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(sites.plain_addr).is_err() {
        if Instant::now() > deadline {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("nginx does not start: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
