//! The admin listener: whether the process lives, and whether it should be sent traffic. For a supervisor on this machine.

use std::sync::Arc;

use odi_wire::http::StatusCode;
use odi_wire::refusal::Refusal;
use odi_wire::serve::{Request, Response, Service};

use crate::answer::status_document;
use crate::directory::Directory;

pub(crate) struct Admin(pub(crate) Arc<Directory>);

impl Service for Admin {
    async fn call(&self, request: Request) -> Response {
        match request.target() {
            // Whoever answers this lives; a store that failed does not come back without a restart.
            "/healthz" => match self.0.store.failure() {
                None => Response::ok("text/plain", "ok\n"),
                Some(error) => unfit(&error.to_string()),
            },
            "/readyz" => {
                let waiting =
                    status_document(&self.0).catalogs.into_iter().find(|catalog| catalog.served.is_none());
                match waiting {
                    None => Response::ok("text/plain", "ready\n"),
                    Some(catalog) => unfit(&format!("catalog {} has no state yet", catalog.name)),
                }
            }
            _ => Refusal::NotFound.into_response(),
        }
    }
}

fn unfit(why: &str) -> Response {
    Response::new(StatusCode::SERVICE_UNAVAILABLE).with_body(format!("{why}\n"))
}
