//! `POST /odi/v1/notify`: a directory has news. Who cares looks, after a moment of its own choice.

use odi_wire::http::StatusCode;
use odi_wire::message::{NOTIFY_BYTES_MAX, Notify};
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Request, Response};

use super::signed::{self, Signed};
use crate::relay::Relay;

/// Takes one notice.
pub(super) async fn answer(relay: &Relay, request: &mut Request) -> Result<Response, Refusal> {
    let signed = signed::read(relay, request, NOTIFY_BYTES_MAX).await?;
    signed.is_taken(relay);
    let Signed { body, directory, .. } = signed;
    let notice = Notify::decode(&body).ok().flatten().ok_or(Refusal::Unauthorized)?;
    signed::same(&directory, &notice.dir)?;
    for catalog in notice.catalogs.iter().filter_map(|id| relay.catalogs.get(id)) {
        catalog.told_of_news(&directory.url);
    }
    let known = directory.link().assignment.as_ref().map_or(0, |assign| assign.generation);
    if notice.assignment_gen != known {
        directory.told_of_news.ring();
    }
    Ok(Response::new(StatusCode::NO_CONTENT))
}
