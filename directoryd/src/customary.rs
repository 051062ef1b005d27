//! How each ecosystem's clients are pointed at a catalog, by its tag, for maintainers who say nothing of their own.
//!
//! The lines are those of docs/clients, whose pages the real clients are tested with; a test here holds the two together.

use odi_wire::catalog_settings::ClientInstructions;

/// A tag, a client, and what people write for it.
struct Custom {
    tag: &'static str,
    name: &'static str,
    text: &'static str,
}

const fn custom(tag: &'static str, name: &'static str, text: &'static str) -> Custom {
    Custom { tag, name, text }
}

const CUSTOMS: [Custom; 16] = [
    custom("debian", "apt", "deb [signed-by=KEY] mirror+{url}.mirrorlist SUITE COMPONENT"),
    custom("python", "pip", "pip install --index-url {url}simple/ PACKAGE"),
    custom("python", "uv", "uv pip install --default-index {url}simple/ PACKAGE"),
    custom("npm", "npm", "npm install --registry {url} --replace-registry-host always PACKAGE"),
    custom("rust", "cargo", "[registries.NAME]\nindex = \"sparse+{url}\""),
    custom("maven", "maven", "<mirror><id>odi</id><mirrorOf>*</mirrorOf><url>{url}</url></mirror>"),
    custom("ruby", "gem", "gem install --clear-sources --source {url} PACKAGE"),
    custom("fedora", "dnf", "metalink={url}repodata/repomd.xml.metalink"),
    custom("opensuse", "zypper", "zypper addrepo {url} NAME"),
    custom("releases", "aria2", "aria2c --follow-metalink=mem {url}FILE.meta4"),
    custom("jenkins", "jenkins", "{url}update-center.json"),
    custom("images", "curl", "until curl -fL -C - -O {url}IMAGE; do sleep 1; done"),
    custom("images", "zsync", "zsync -i FORMER {url}IMAGE.zsync"),
    custom("ostree", "ostree", "ostree remote add --gpg-import=KEY NAME {url}"),
    custom("flatpak", "flatpak", "flatpak remote-add --gpg-import=KEY NAME {url}"),
    custom("nix", "nix", "substituters = {url}"),
];

/// The catalog's own instructions, and after them the customary ones for clients of which those do not speak.
pub(crate) fn with_customary(
    own: &[ClientInstructions],
    tags: &[String],
    url: &str,
) -> Vec<ClientInstructions> {
    let has_tag = |custom: &&Custom| {
        tags.iter().any(|tag| tag.strip_prefix("ecosystem:").is_some_and(|kind| kind == custom.tag))
    };
    let is_new = |custom: &&Custom| own.iter().all(|client| client.name != custom.name);
    let customary = CUSTOMS.iter().filter(has_tag).filter(is_new);
    let customary = customary
        .map(|custom| ClientInstructions { name: custom.name.to_owned(), text: custom.text.to_owned() });
    own.iter().cloned().chain(customary).map(|client| client.at(url)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [(&str, &str); 14] = [
        ("debian", include_str!("../../docs/clients/debian.md")),
        ("python", include_str!("../../docs/clients/pypi.md")),
        ("npm", include_str!("../../docs/clients/npm.md")),
        ("rust", include_str!("../../docs/clients/crates.md")),
        ("maven", include_str!("../../docs/clients/maven.md")),
        ("ruby", include_str!("../../docs/clients/rubygems.md")),
        ("fedora", include_str!("../../docs/clients/rpm.md")),
        ("opensuse", include_str!("../../docs/clients/rpm.md")),
        ("releases", include_str!("../../docs/clients/releases.md")),
        ("jenkins", include_str!("../../docs/clients/jenkins.md")),
        ("images", include_str!("../../docs/clients/images.md")),
        ("ostree", include_str!("../../docs/clients/ostree.md")),
        ("flatpak", include_str!("../../docs/clients/flatpak.md")),
        ("nix", include_str!("../../docs/clients/nix.md")),
    ];

    /// The word with the URL, up to what the reader fills in: it has to stand on the page that is tested.
    fn tested_part(text: &str, catalog: &str) -> String {
        let word = text.split_whitespace().find(|word| word.contains("{url}")).unwrap();
        let fixed = ["IMAGE", "FILE"].iter().filter_map(|own| word.find(own)).min().unwrap_or(word.len());
        word[..fixed]
            .trim_end_matches(';')
            .replace("{url}", &format!("https://everest.example.org/{catalog}/"))
    }

    #[test]
    fn every_line_stands_on_the_page_that_is_tested() {
        for custom in &CUSTOMS {
            let (_, page) = PAGES.iter().find(|(tag, _)| *tag == custom.tag).unwrap();
            let (_, named) = page.split_once("odi-sign init ").unwrap();
            let catalog = named.split(' ').next().unwrap();
            let part = tested_part(custom.text, catalog);
            let part = part.rsplit_once("<mirrorOf>*</mirrorOf>").map_or(part.as_str(), |(_, url)| url);
            assert!(page.contains(part), "{}: `{part}` is not on the page", custom.name);
        }
    }

    #[test]
    fn the_catalogs_own_words_come_first_and_stand_for_the_customary_ones() {
        let own = [ClientInstructions { name: "pip".to_owned(), text: "as {url} says".to_owned() }];
        let tags = ["ecosystem:python", "ecosystem:unheard-of", "python"].map(str::to_owned);
        let shown = with_customary(&own, &tags, "https://a.example/py/");
        let shown: Vec<(&str, &str)> =
            shown.iter().map(|client| (client.name.as_str(), client.text.as_str())).collect();
        let uv = "uv pip install --default-index https://a.example/py/simple/ PACKAGE";
        assert_eq!(shown, [("pip", "as https://a.example/py/ says"), ("uv", uv)]);
        assert!(with_customary(&[], &[], "https://a.example/").is_empty());
    }
}
