//! The part of `odi-catalog.toml` that `import` writes: where everything lies that is not in the tree.
//!
//! It stands at the end, between two lines that say so, and is made anew each time; what its maintainer wrote stays as it is. As few rules
//! as possible by folder; whatever those would not lead to its own URL has a rule of its own. The real reader
//! of settings has the last word.

use std::collections::BTreeMap;

use odi_manifest::ArtifactPath;
use odi_wire::catalog_settings::Elsewhere;
use odi_wire::fetch::Source;
use url::Url;

const BEGIN: &str = "# odi-sign import: where what is not in this tree lies. Made anew by every import, up to the end of this part.\n";
const END: &str = "# odi-sign import: end.\n";

/// The settings with this part in place of the former one.
pub(super) fn replace_part(settings: &str, lying: &BTreeMap<ArtifactPath, Url>) -> String {
    let own = match settings.split_once(BEGIN) {
        Some((before, part)) => {
            let after = part.split_once(END).map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => settings.to_owned(),
    };
    if lying.is_empty() {
        return own;
    }
    let gap = if own.is_empty() || own.ends_with("\n\n") {
        ""
    } else if own.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    format!("{own}{gap}{BEGIN}{}{END}", text(&rules(lying)))
}

/// Rules that lead every path to its URL.
fn rules(lying: &BTreeMap<ArtifactPath, Url>) -> Elsewhere {
    let mut rules = Elsewhere::default();
    for (path, url) in lying {
        let mut folders = folders(path, url).into_iter();
        // The first is the shortest folder, and so speaks of the most.
        folders.find(|(folder, base)| rules.add_folder(folder, base));
    }
    let misled: Vec<_> = lying.iter().filter(|(path, url)| rules.url(path).as_ref() != Some(url)).collect();
    for (path, url) in misled {
        rules.add_path(path.as_str(), url);
    }
    rules
}

/// Every folder of the path, shortest first, below which the rest of the path is the end of the URL; and what is before that end.
fn folders(path: &ArtifactPath, url: &Url) -> Vec<(String, Url)> {
    let mut found = Vec::new();
    let segments: Vec<&str> = path.segments().collect();
    let mut base = url.clone();
    for depth in (0..segments.len()).rev() {
        match base.path_segments_mut() {
            Ok(mut above) => above.pop_if_empty().pop(),
            Err(()) => break,
        };
        let (Some(folder), Some(below)) = (segments.get(..depth), segments.get(depth..)) else { break };
        let Ok(below) = ArtifactPath::parse(&below.join("/")) else { break };
        let mut base = base.clone();
        if let Ok(mut above) = base.path_segments_mut() {
            above.pop_if_empty().push("");
        }
        if Source::artifact(&base, &below).url != *url {
            break;
        }
        found.push((folder.join("/"), base));
    }
    found.reverse();
    found
}

fn text(rules: &Elsewhere) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let folders = rules.folders().map(|(folder, from)| {
        format!("[[elsewhere]]\nfolder = {}\nfrom = {}\n", quoted(folder), quoted(from.as_str()))
    });
    let paths = rules.paths().map(|(path, url)| {
        format!("[[elsewhere]]\npath = {}\nurl = {}\n", quoted(path), quoted(url.as_str()))
    });
    folders.chain(paths).collect()
}

#[cfg(test)]
mod tests {
    use odi_wire::catalog_settings::CatalogSettings;

    use super::*;

    fn lying(pairs: &[(&str, &str)]) -> BTreeMap<ArtifactPath, Url> {
        pairs.iter().map(|(path, url)| (path.parse().unwrap(), url.parse().unwrap())).collect()
    }

    fn read(settings: &str) -> Elsewhere {
        CatalogSettings::read(settings.as_bytes()).unwrap().elsewhere().clone()
    }

    #[test]
    fn every_path_is_led_to_its_url_by_few_rules() {
        let release = |n: u32, name: &str| format!("https://h/o/r/releases/download/v{n}/{name}");
        let (one, two) = (release(1, "app"), release(2, "app.zip"));
        for (pairs, rules) in [
            // Paths that end as their URLs do need one rule, however many releases there are.
            (vec![("v1/app", one.as_str()), ("v1/b", &release(1, "b")), ("v2/app.zip", &two)], 1),
            (vec![("app", one.as_str()), ("app.zip", &two)], 2),
            (vec![("stable/app", one.as_str()), ("next/app.zip", &two)], 2),
            (vec![("a/x", "https://h/get?id=1"), ("a/y", "https://h/get?id=2"), ("a/z", "https://h/z")], 3),
            // A deeper folder would mislead what a higher one leads to.
            (vec![("a/b/x", "https://h/a/b/x"), ("a/b/y", "https://i/y"), ("a/b/z", "https://h/a/b/z")], 4),
            (vec![("a/\u{e9} b#?", "https://h/%C3%A9%20b%23%3F")], 1),
            (vec![("a/x", "https://h/%78")], 1),
        ] {
            let lying = lying(&pairs);
            let read = read(&replace_part("", &lying));
            for (path, url) in &lying {
                assert_eq!(read.url(path).as_ref(), Some(url), "{path}");
            }
            assert_eq!(read.folders().count() + read.paths().count(), rules, "{pairs:?}");
        }
    }

    #[test]
    fn what_the_maintainer_wrote_stays() {
        let own = "index = [\"home.html\"]\n\n[[media]]\npaths = \"*\"\ntype = \"text/html\"";
        let first = replace_part(own, &lying(&[("x", "https://h/x")]));
        assert!(first.starts_with(own), "{first}");
        let edited = format!("{first}\n[retention]\nkeep_hours = 5\n");
        let second = replace_part(&edited, &lying(&[("y", "https://i/get?y")]));
        assert!(second.starts_with(own) && second.contains("keep_hours = 5"), "{second}");
        let elsewhere = read(&second);
        assert_eq!(elsewhere.url(&"y".parse().unwrap()).unwrap().as_str(), "https://i/get?y");
        assert_eq!(elsewhere.url(&"x".parse().unwrap()), None);
        assert_eq!(replace_part(&second, &lying(&[("y", "https://i/get?y")])), second);
        assert!(!replace_part(&second, &BTreeMap::new()).contains("elsewhere"));
    }
}
