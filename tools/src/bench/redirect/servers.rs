//! The two servers: a directory, and nginx that answers everything with one redirect.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Args;
use super::catalog::Catalog;
use crate::bench::process::{self, Pinned};

pub(super) const NGINX: &str = "nginx";
/// What the directory calls the catalog.
pub(super) const NAME: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) process: Pinned,
    /// Scheme, host and port.
    pub(super) url: String,
}

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) process: Pinned,
    /// Scheme, host and port.
    pub(super) url: String,
}

impl Directory {
    /// Starts one that follows the catalog and believes what its clients say of where they come from.
    pub(super) fn start(args: &Args, work: &Path, catalog: &Catalog, origin: &str) -> Result<Self> {
        let program = match &args.directoryd {
            Some(path) => path.clone(),
            None => std::env::current_exe().context("find this program")?.with_file_name("odi-directoryd"),
        };
        let program = program
            .canonicalize()
            .with_context(|| format!("find {}: build it, or name it with --directoryd", program.display()))?;
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let geography = args.geography.iter().map(|file| file.canonicalize());
        let geography = geography.collect::<Result<Vec<_>, _>>().context("find the databases")?;
        let (config, id) = (work.join("directoryd.toml"), catalog.id);
        let text = format!(
            "data_dir = {:?}\nlisten = [\"127.0.0.1:{port}\"]\npublic_urls = [\"{url}\"]\n\
             proxies = [\"127.0.0.0/8\"]\ngeography = {geography:?}\n\
             [[catalog]]\nname = \"{NAME}\"\nid = \"{id}\"\norigin = \"{origin}\"\npoll = \"1d\"\n",
            work.join("directory")
        );
        std::fs::write(&config, text).context("write the directory's configuration")?;
        let log_file = work.join("directory.log");
        let log = std::fs::File::create(&log_file).context("make the directory's log")?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).arg("--allow-private-addresses").env("RUST_LOG", "warn");
        let process = Pinned::start(command.stdout(Stdio::null()).stderr(log), args.server_cpu)?;
        // The folder goes with the bench, and its log with it.
        let said = || std::fs::read_to_string(&log_file).unwrap_or_default();
        wait_for(port).with_context(|| format!("start a directory, which said:\n{}", said()))?;
        Ok(Self { process, url })
    }
}

impl Nginx {
    /// Starts one with a single worker.
    pub(super) fn start(work: &Path, cpu: usize) -> Result<Self> {
        let folder = work.join("nginx");
        std::fs::create_dir_all(&folder).context("make a folder for nginx")?;
        let (port, config) = (free_port()?, folder.join("nginx.conf"));
        let folder_name = folder.display();
        let text = format!(
            "daemon off; worker_processes 1; user root; pid {folder_name}/pid; error_log {folder_name}/log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
               access_log off; tcp_nodelay on; keepalive_timeout 300; keepalive_requests 1000000000;\n\
               client_body_temp_path {folder_name}/t1; proxy_temp_path {folder_name}/t2;\n\
               fastcgi_temp_path {folder_name}/t3; uwsgi_temp_path {folder_name}/t4; scgi_temp_path {folder_name}/t5;\n\
               server {{ listen 127.0.0.1:{port}; return 302 http://relay.example$request_uri; }}\n\
             }}\n"
        );
        std::fs::write(&config, text).context("write nginx.conf")?;
        let mut command = Command::new(process::find(NGINX)?);
        command.arg("-c").arg(&config).arg("-p").arg(&folder);
        let process = Pinned::start(command.stdout(Stdio::null()).stderr(Stdio::null()), cpu)?;
        wait_for(port)?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("nobody listens at port {port} after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
