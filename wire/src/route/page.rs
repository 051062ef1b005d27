//! Pages for people about the daemon itself: where no catalog's name can hide them, since none is called `odi`.

use data_encoding::HEXLOWER;

use super::name::CatalogRef;

/// A page, or the same as a document, about what a daemon knows. One that has no such page answers 404.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageRoute {
    /// `/`: what this daemon is, and what it has.
    Front,
    /// `/odi/catalogs/{name}`: one catalog.
    Catalog {
        /// Which.
        name: CatalogRef,
    },
    /// `/odi/relays/{key}`: one relay.
    Relay {
        /// Its Ed25519 public key; 64 hexadecimal digits in the path.
        relay: [u8; 32],
    },
}

impl PageRoute {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Front => "/".to_owned(),
            Self::Catalog { name } => format!("/odi/catalogs/{name}"),
            Self::Relay { relay } => format!("/odi/relays/{}", HEXLOWER.encode(relay)),
        }
    }

    /// Reads what follows `/odi/`, decoded.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        match rest.split_once('/')? {
            ("catalogs", name) => Some(Self::Catalog { name: name.parse().ok()? }),
            ("relays", key) => {
                let relay = HEXLOWER.decode(key.as_bytes()).ok()?.try_into().ok()?;
                Some(Self::Relay { relay })
            }
            _ => None,
        }
    }
}
