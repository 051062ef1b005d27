//! The choice of relays, and of mirrors after them, as a list, in the forms that package managers read.

use odi_manifest::PublicKey;
use odi_wire::route::ListForm;
use serde::Serialize;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// The artifact's URL there, or a folder's with a slash at its end.
    pub url: String,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
}

/// Whose server a place of a list is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Whose {
    /// A relay's.
    Relay {
        /// Its key.
        relay: PublicKey,
    },
    /// A plain mirror's, which was lately seen to have this artifact.
    Mirror {
        /// Always `true`.
        mirror: bool,
    },
    /// This directory's.
    Own {},
}

/// Whether a form lists single files. The others list bases, to which programs append what they want: a mirror was seen to have one
/// file and may lack the next.
#[must_use]
pub const fn names_files(form: ListForm) -> bool {
    match form {
        ListForm::Text | ListForm::Json => true,
        ListForm::Apt | ListForm::Pacman => false,
    }
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
            Mirror { url: "http://r1.example/odi1abc/dists/".to_owned(), whose: Whose::Relay { relay } },
            Mirror {
                url: "http://ftp.example/debian/dists/".to_owned(),
                whose: Whose::Mirror { mirror: true },
            },
            Mirror { url: "http://everest.example/debian/dists/".to_owned(), whose: Whose::Own {} },
        ];
        let forms = [ListForm::Text, ListForm::Apt, ListForm::Pacman, ListForm::Json];
        let shown: Vec<String> =
            forms.iter().map(|form| format!("{form:?}\n{}", mirror_list(&mirrors, *form))).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
