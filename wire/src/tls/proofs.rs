//! Proofs that a name is ours, shown while a certificate authority looks at them (RFC 8555, 8.3; RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::sign::CertifiedKey;

/// Where an authority asks over plain HTTP.
const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// What is shown now; nothing but during an order.
#[derive(Debug, Default)]
pub struct Proofs {
    /// What to answer, by token.
    http: Mutex<HashMap<String, String>>,
    /// What to show, by name.
    tls: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Proofs {
    pub(super) fn show_http(&self, token: &str, answer: &str) {
        lock(&self.http).insert(token.to_owned(), answer.to_owned());
    }

    pub(super) fn show_tls(&self, name: &str, proof: CertifiedKey) {
        lock(&self.tls).insert(name.to_ascii_lowercase(), Arc::new(proof));
    }

    pub(super) fn clear(&self) {
        lock(&self.http).clear();
        lock(&self.tls).clear();
    }

    /// The answer to a request for this path, if it is for a proof that is shown now.
    pub(crate) fn http_answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(HTTP_PATH)?;
        lock(&self.http).get(token).cloned()
    }

    pub(super) fn tls_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        lock(&self.tls).get(&name.to_ascii_lowercase()).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proof_that_is_shown_is_answered() {
        let proofs = Proofs::default();
        proofs.show_http("token", "token.thumb");
        assert_eq!(proofs.http_answer("/.well-known/acme-challenge/token").as_deref(), Some("token.thumb"));
        assert_eq!(proofs.http_answer("/.well-known/acme-challenge/other"), None);
        assert_eq!(proofs.http_answer("/token"), None);
        proofs.clear();
        assert_eq!(proofs.http_answer("/.well-known/acme-challenge/token"), None);
    }
}
