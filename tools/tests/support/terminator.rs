//! What ends TLS before a relay that speaks plain HTTP: nginx at the public address, as docs/relay.md says under "A proxy in front".
//! It dies with the relay.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts nginx at one address in front of another, with `server.pem` and `server.key` of `folder`. One process, so that `kill -9` ends
/// all of it.
pub(crate) fn start(folder: &Path, name: &str, at: SocketAddr, to: SocketAddr) -> Child {
    let own = folder.join(format!("{name}-tls"));
    fs::create_dir_all(&own).unwrap();
    let config = format!(
        "daemon off; master_process off; pid {own}/pid; error_log {own}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; client_max_body_size 0;\n  client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n\
         fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
         server {{\n    listen {at} ssl; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;\n\
         location / {{\n      proxy_pass http://{to}; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;\n\
         proxy_read_timeout 120s; proxy_set_header Host $http_host; proxy_set_header Connection \"\";\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;\n\
         proxy_set_header Odi-Lab-Caller $remote_addr:$remote_port;\n\
         proxy_set_header Odi-Lab-Listener {at};\n    }}\n  }}\n}}\n",
        own = own.display(),
        folder = folder.display(),
    );
    let file = own.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.arg("-e").arg(own.join("error.log")).arg("-p").arg(&own).arg("-c").arg(&file);
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
