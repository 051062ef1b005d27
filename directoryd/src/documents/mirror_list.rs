//! The choice of relays as a list, in the forms that package managers read.

use odi_manifest::PublicKey;
use odi_wire::route::ListForm;
use serde::Serialize;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// The artifact's URL there, or a folder's with a slash at its end.
    pub url: String,
    /// The relay's key; none is this directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<PublicKey>,
}

/// The list, best first.
#[must_use]
pub fn mirror_list(mirrors: &[Mirror], form: ListForm) -> String {
    let lines = |line: &dyn Fn(usize, &Mirror) -> String| -> String {
        (1..).zip(mirrors).map(|(priority, mirror)| line(priority, mirror)).collect()
    };
    match form {
        ListForm::Text => lines(&|_, mirror| format!("{}\n", mirror.url)),
        // apt-transport-mirror(1).
        ListForm::Apt => lines(&|priority, mirror| format!("{}\tpriority:{priority}\n", mirror.url)),
        // pacman.conf(5); the variables are pacman's.
        ListForm::Pacman => lines(&|_, mirror| format!("Server = {}$repo/os/$arch\n", mirror.url)),
        ListForm::Json => serde_json::to_string(mirrors).expect("texts are JSON"),
    }
}

/// `Content-Type` of a list.
#[must_use]
pub const fn media_type(form: ListForm) -> &'static str {
    match form {
        ListForm::Json => "application/json",
        ListForm::Text | ListForm::Apt | ListForm::Pacman => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use odi_manifest::SigningKey;

    use super::*;

    #[test]
    fn every_form_of_a_list() {
        let relay = SigningKey::from_seed(&[1; 32]).public_key();
        let mirrors = [
            Mirror { url: "http://r1.example/odi1abc/dists/".to_owned(), relay: Some(relay) },
            Mirror { url: "http://everest.example/debian/dists/".to_owned(), relay: None },
        ];
        let forms = [ListForm::Text, ListForm::Apt, ListForm::Pacman, ListForm::Json];
        let shown: Vec<String> =
            forms.iter().map(|form| format!("{form:?}\n{}", mirror_list(&mirrors, *form))).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
