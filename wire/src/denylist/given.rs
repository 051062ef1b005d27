//! Giving content by its own name: only while nothing denies it, from the first look to the last.
//!
//! What is denied may become known, and another list may come into force, between a look and the next and while bytes are opened.
//! So the list is asked after everything that takes time, too.

use odi_manifest::BlobId;

use super::Denied;
use crate::refusal::Refusal;

impl Denied {
    /// Refuses content that is denied, and all as long as `known` does.
    ///
    /// # Errors
    /// [`Refusal::LegallyRefused`], or what `known` says.
    pub fn admit(&self, blob: &BlobId, known: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
        let unless_denied = || if self.denies_blob(blob) { Err(Refusal::LegallyRefused) } else { Ok(()) };
        unless_denied()?;
        known()?;
        // What had to be looked up may have been found in between.
        unless_denied()
    }
}

/// What `open` gives, if `admit` lets it be given before and still does afterwards.
///
/// # Errors
/// What `admit` says, else what `open` does.
pub async fn given<T>(
    admit: impl Fn() -> Result<(), Refusal>,
    open: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    admit()?;
    let opened = open.await;
    admit()?;
    opened
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use odi_manifest::{CatalogId, HeadId};

    use super::*;
    use crate::denylist::{Denylist, Found};

    const CATALOG: CatalogId = CatalogId::from_bytes([1; 32]);
    const HEAD: HeadId = HeadId::from_bytes([2; 32]);

    /// As a look at the catalog does that found it.
    fn find(denied: &Denied, blob: &BlobId) {
        let mut found = Found::default();
        found.denied(blob);
        found.looked_at([HEAD]);
        denied.note(CATALOG, &denied.list(), found);
    }

    #[test]
    fn what_is_found_between_two_looks_is_refused() {
        let denied = Denied::of(Arc::new(Denylist::parse("/debian/x").unwrap()));
        let blob = BlobId::of(b"x");
        assert_eq!(denied.admit(&blob, || Ok(())), Ok(()));
        assert_eq!(denied.admit(&blob, || Err(Refusal::NotFound)), Err(Refusal::NotFound));
        let known = || {
            find(&denied, &blob);
            Ok(())
        };
        assert_eq!(denied.admit(&blob, known), Err(Refusal::LegallyRefused));
        assert_eq!(denied.admit(&BlobId::of(b"y"), || Ok(())), Ok(()));
    }

    #[tokio::test]
    async fn what_is_found_while_bytes_are_opened_is_refused() {
        let denied = Denied::of(Arc::new(Denylist::parse("/debian/x").unwrap()));
        let blob = BlobId::of(b"x");
        let admit = || denied.admit(&blob, || Ok(()));
        assert_eq!(given(admit, async { Ok(1) }).await, Ok(1));
        assert_eq!(given(admit, async { Err::<u8, _>(Refusal::NotFound) }).await, Err(Refusal::NotFound));
        let open = async {
            find(&denied, &blob);
            Ok(1)
        };
        assert_eq!(given(admit, open).await, Err(Refusal::LegallyRefused));
        let untouched = async { unreachable!("what is denied is not even opened") };
        assert_eq!(given::<u8>(admit, untouched).await, Err(Refusal::LegallyRefused));
    }
}
