//! Name resolution that judges every answer, so that a name cannot lead where a literal may not.
//!
//! reqwest connects only to the addresses returned here: there is no second look-up for a name to change in.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, LazyLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

use super::Family;
use super::address::is_public;

/// Look-ups under way in this process; each has a thread of its own for as long. Names that others gave us may have servers that never
/// answer, and the system goes on asking when nobody waits any more: among what else may block they would bring everything to a stop.
const LOOKUPS_MAX: usize = 32;
static LOOKUPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LOOKUPS_MAX)));

/// Why a name was not connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// At least one of its addresses is not public. All count: an answer that mixes them is an attack or a mistake.
    #[error(
        "the name `{name}` has the address {addr}, which is not public; only --allow-private-addresses permits that"
    )]
    NotPublic {
        /// The name.
        name: String,
        /// The address.
        addr: IpAddr,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct VettedResolver {
    allow_private: bool,
    family: Option<Family>,
}

impl VettedResolver {
    pub(super) const fn new(allow_private: bool, family: Option<Family>) -> Self {
        Self { allow_private, family }
    }
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { allow_private, family } = *self;
        Box::pin(async move {
            let mut answers = vetted_lookup(name.as_str(), 0, allow_private).await?;
            // After the judgement: an address of another family condemns a name all the same.
            answers.retain(|answer| family.is_none_or(|family| Family::of(answer.ip()) == family));
            Ok(Box::new(answers.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, if all of them may be gone to. A refusal is the [`ResolveError`] in the error.
pub(super) async fn vetted_lookup(name: &str, port: u16, allow_private: bool) -> io::Result<Vec<SocketAddr>> {
    let answers = match name.parse::<IpAddr>() {
        Ok(literal) => vec![(literal, port).into()],
        Err(_) => lookup(name.to_owned(), port).await?,
    };
    if allow_private { Ok(answers) } else { vetted(name, answers).map_err(io::Error::other) }
}

async fn lookup(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let turn = Arc::clone(&LOOKUPS).acquire_owned().await.map_err(io::Error::other)?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("odi-look-up".to_owned()).spawn(move || {
        let _until_it_ends = turn;
        // Nobody may be waiting any more.
        let _ = tell.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect));
    })?;
    told.await.map_err(io::Error::other)?
}

fn vetted(name: &str, answers: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ResolveError> {
    match answers.iter().find(|answer| !is_public(answer.ip())) {
        Some(answer) => Err(ResolveError::NotPublic { name: name.to_owned(), addr: answer.ip() }),
        None => Ok(answers),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClientError, ClientPolicy};
    use super::*;

    #[test]
    fn one_private_answer_condemns_them_all() {
        let public = SocketAddr::from(([1, 1, 1, 1], 0));
        let private = SocketAddr::from(([10, 0, 0, 1], 0));
        assert_eq!(vetted("x", vec![public]), Ok(vec![public]));
        let refused = ResolveError::NotPublic { name: "x".to_owned(), addr: private.ip() };
        assert_eq!(vetted("x", vec![public, private]), Err(refused));
    }

    #[tokio::test]
    async fn literals_and_names_have_addresses_and_no_name_has_none() {
        let one = SocketAddr::from(([127, 0, 0, 1], 7));
        assert_eq!(vetted_lookup("127.0.0.1", 7, true).await.unwrap(), [one]);
        assert!(
            vetted_lookup("localhost", 7, true).await.unwrap().iter().all(|answer| answer.ip().is_loopback())
        );
        assert!(vetted_lookup("no-such-name.invalid", 7, true).await.is_err());
    }

    /// Past `vet`, which refuses this name already: what a public name with a private address comes to.
    #[tokio::test]
    async fn a_name_with_a_private_address_is_refused_as_such() {
        let policy = ClientPolicy::default();
        let client = super::super::builder(&policy).tls_certs_only([]).build().unwrap();
        let failed = client.get("http://localhost:1/").send().await.unwrap_err();
        let refused = ClientError::from_transport("http://localhost:1/".into(), failed);
        assert!(matches!(refused, ClientError::RefusedAddress { .. }), "{refused:?}");
    }
}
