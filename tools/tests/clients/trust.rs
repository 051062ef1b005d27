//! How each client is told of an authority that no system knows: by a variable where it has one, else by a file in its home. What has
//! neither is told by its scenario.

use std::fs;
use std::path::Path;

/// Each names a file of certificates. The first is OpenSSL's, and RubyGems, uv, skopeo and odi-sign read it too.
pub(crate) const VARIABLES: [&str; 6] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
    "PIP_CERT",
    "NPM_CONFIG_CAFILE",
];

/// The same for those that read files: apt, in the folder that `APT_CONFIG`'s file names, and the others in a home.
pub(crate) fn by_files(root: &Path, home: &Path) {
    let root = root.display();
    for (file, line) in [
        ("etc/apt/apt.conf.d/authority", format!("Acquire::https::CAInfo \"{root}\";")),
        (".wgetrc", format!("ca_certificate = {root}")),
        (".wget2rc", format!("ca-certificate = {root}")),
        (".aria2/aria2.conf", format!("ca-certificate={root}")),
    ] {
        let file = home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{line}\n")).unwrap();
    }
}
