//! The account at the authority, made at the first order and kept.

use std::path::Path;

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::AcmeError;
use super::transport::Transport;
use crate::client::Client;
use crate::config::AcmeConfig;
use crate::off_worker::off_worker;
use crate::private_file;

const FILE: &str = "account.json";

/// The file: whose account it is, and its key.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    contact: String,
    credentials: AccountCredentials,
}

/// The kept account, or a new one: the first time, at another authority, or for another contact.
pub(super) async fn open(client: &Client, config: &AcmeConfig, folder: &Path) -> Result<Account, AcmeError> {
    let path = folder.join(FILE);
    let file_error = |source| AcmeError::File { path: path.clone(), source };
    let reading = path.clone();
    let kept =
        off_worker(move || private_file::read(&reading)).await.map_err(file_error)?.map(Zeroizing::new);
    let builder = Account::builder_with_http(Box::new(Transport(client.clone())));
    let known = kept
        .and_then(|text| serde_json::from_slice::<Kept>(&text).ok())
        .filter(|kept| kept.directory == config.directory.as_str() && kept.contact == config.contact);
    if let Some(kept) = known {
        return Ok(builder.from_credentials(kept.credentials).await?);
    }
    let contact = [config.contact.as_str()];
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, config.directory.to_string(), None).await?;
    let kept = Kept { directory: config.directory.to_string(), contact: config.contact.clone(), credentials };
    let text = serde_json::to_vec(&kept).map_err(|error| file_error(error.into()))?;
    let text = Zeroizing::new(text);
    let writing = path.clone();
    off_worker(move || private_file::replace(&writing, &text)).await.map_err(file_error)?;
    Ok(account)
}

/// The authority knows the kept account no longer: the next order makes another.
pub(super) async fn forget(folder: &Path) -> Result<(), AcmeError> {
    let path = folder.join(FILE);
    let removing = path.clone();
    off_worker(move || private_file::remove(&removing))
        .await
        .map_err(|source| AcmeError::File { path, source })
}
