//! One order: the names, a proof for each, and what comes of it.

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::AcmeError;
use crate::config::ChallengeKind;
use crate::tls::certificate::CertificateError;
use crate::tls::proofs::Proofs;

/// Orders a certificate for these names. The result is its key and its chain in one PEM text.
pub(super) async fn place(
    account: &Account,
    names: &[String],
    kind: ChallengeKind,
    proofs: &Proofs,
) -> Result<Zeroizing<String>, AcmeError> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let proved = prove(&mut order, kind, proofs).await;
    proofs.clear();
    if proved? != OrderStatus::Ready {
        return Err(AcmeError::NotConvinced { names: names.join(", ") });
    }
    let key = KeyPair::generate()?;
    let mut request = CertificateParams::new(names)?;
    request.distinguished_name = DistinguishedName::new();
    order.finalize_csr(request.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(Zeroizing::new(format!("{}\n{chain}", key.as_str())))
}

async fn prove(order: &mut Order, kind: ChallengeKind, proofs: &Proofs) -> Result<OrderStatus, AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        if authorization.status != AuthorizationStatus::Valid {
            show(authorization, kind, proofs).await?;
        }
    }
    Ok(order.poll_ready(&RetryPolicy::default()).await?)
}

async fn show(
    mut authorization: AuthorizationHandle<'_>,
    kind: ChallengeKind,
    proofs: &Proofs,
) -> Result<(), AcmeError> {
    let name = authorization.identifier().to_string();
    let wanted = match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    let mut challenge = authorization
        .challenge(wanted)
        .ok_or_else(|| AcmeError::NoChallenge { name: name.clone(), kind: kind.as_str() })?;
    let answer = challenge.key_authorization();
    match kind {
        ChallengeKind::Http01 => proofs.show_http(&challenge.token, answer.as_str()),
        ChallengeKind::TlsAlpn01 => proofs.show_tls(&name, proof(&name, answer.digest().as_ref())?),
    }
    Ok(challenge.set_ready().await?)
}

/// A certificate that says nothing but what the authority came to read (RFC 8737, 3).
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
    // Not checked against each other: the extension is critical, and nobody but an authority knows what it means.
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|source| CertificateError::UnusableKey { source })?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}
