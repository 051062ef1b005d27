//! From bytes to settings. Walks the parsed table by hand, so that every fault has a line and a key.

use std::ops::Range;
use std::time::Duration;

use odi_manifest::ArtifactPath;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::elsewhere::ElsewhereRule;
use super::{
    CLIENT_NAME_BYTES_MAX, CLIENT_TEXT_BYTES_MAX, CLIENTS_MAX, CatalogSettings, ClientInstructions,
    ELSEWHERE_MAX, Elsewhere, INDEX_NAMES_MAX, KEEP_HOURS_MAX, MediaRule, PULL_URL_BYTES_MAX, PULL_URLS_MAX,
    PathPattern, PullRule, RULES_MAX, SETTINGS_BYTES_MAX, SettingsError, SettingsFault,
};
use crate::media_type::MediaType;

type Value<'t> = Spanned<DeValue<'t>>;

pub(super) fn read(bytes: &[u8]) -> Result<CatalogSettings, SettingsError> {
    if bytes.len() as u64 > SETTINGS_BYTES_MAX {
        return Err(SettingsError::TooLarge(bytes.len() as u64));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| SettingsError::NotUtf8 { line: line_at(bytes, error.valid_up_to()) })?;
    let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        line: line_at(bytes, error.span().unwrap_or_default().start),
        what: error.message().replace('\n', ", "),
    })?;
    let top = Table { text: bytes, key: String::new(), span: 0..0, values: table.get_ref() };
    top.only(&["index", "index_without_slash", "media", "pull", "elsewhere", "retention", "client"])?;
    let defaults = CatalogSettings::default();
    Ok(CatalogSettings {
        index: top.texts("index", INDEX_NAMES_MAX, index_name)?.unwrap_or(defaults.index),
        index_without_slash: top
            .texts("index_without_slash", INDEX_NAMES_MAX, index_name)?
            .unwrap_or(defaults.index_without_slash),
        media: top.tables("media", RULES_MAX)?.iter().map(media_rule).collect::<Result<_, _>>()?,
        pull: top.tables("pull", RULES_MAX)?.iter().map(pull_rule).collect::<Result<_, _>>()?,
        elsewhere: Elsewhere::of(
            top.tables("elsewhere", ELSEWHERE_MAX)?.iter().map(elsewhere_rule).collect::<Result<_, _>>()?,
        ),
        keep: top.table("retention")?.as_ref().map(keep).transpose()?,
        clients: top.tables("client", CLIENTS_MAX)?.iter().map(client).collect::<Result<_, _>>()?,
    })
}

fn media_rule(table: &Table<'_>) -> Result<MediaRule, SettingsError> {
    table.only(&["paths", "type"])?;
    let media = |name: &str| MediaType::named(name).ok_or_else(|| SettingsFault::MediaType(name.to_owned()));
    Ok(MediaRule { paths: table.text("paths", pattern)?, media: table.text("type", media)? })
}

fn pull_rule(table: &Table<'_>) -> Result<PullRule, SettingsError> {
    table.only(&["paths", "from"])?;
    let paths = table.text("paths", pattern)?;
    let from = table.texts("from", PULL_URLS_MAX, pull_url)?;
    Ok(PullRule { paths, from: from.ok_or_else(|| table.fault("from", SettingsFault::Missing))? })
}

fn elsewhere_rule(table: &Table<'_>) -> Result<ElsewhereRule, SettingsError> {
    if table.value("path").is_some() {
        table.only(&["path", "url"])?;
        return Ok(ElsewhereRule::Path(table.text("path", path)?, table.text("url", own_url)?));
    }
    table.only(&["folder", "from"])?;
    Ok(ElsewhereRule::Folder(table.text("folder", folder)?, table.text("from", pull_url)?))
}

fn keep(table: &Table<'_>) -> Result<Duration, SettingsError> {
    table.only(&["keep_hours"])?;
    let value = table.required("keep_hours")?;
    let DeValue::Integer(number) = value.get_ref() else {
        return Err(table.fault("keep_hours", SettingsFault::Kind { expected: "a number of hours" }));
    };
    let hours = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let hours = hours.filter(|hours| (1..=KEEP_HOURS_MAX).contains(hours));
    let hours = hours.ok_or_else(|| table.fault("keep_hours", SettingsFault::Hours))?;
    Ok(Duration::from_secs(hours * 3600))
}

fn client(table: &Table<'_>) -> Result<ClientInstructions, SettingsError> {
    table.only(&["name", "text"])?;
    let is_line =
        |text: &str| (1..=CLIENT_NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    let is_text = |text: &str| {
        let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
        (1..=CLIENT_TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(odd)
    };
    let name = |text: &str| is_line(text).then(|| text.to_owned()).ok_or(SettingsFault::ClientName);
    let words = |text: &str| is_text(text).then(|| text.to_owned()).ok_or(SettingsFault::ClientText);
    Ok(ClientInstructions { name: table.text("name", name)?, text: table.text("text", words)? })
}

fn index_name(text: &str) -> Result<String, SettingsFault> {
    let sound = ArtifactPath::parse(text).is_ok() && !text.contains('/');
    sound.then(|| text.to_owned()).ok_or_else(|| SettingsFault::IndexName(text.to_owned()))
}

fn pattern(text: &str) -> Result<PathPattern, SettingsFault> {
    PathPattern::parse(text).ok_or_else(|| SettingsFault::Pattern(text.to_owned()))
}

fn path(text: &str) -> Result<String, SettingsFault> {
    ArtifactPath::parse(text).map(|path| path.to_string()).map_err(|_| SettingsFault::Path(text.to_owned()))
}

fn folder(text: &str) -> Result<String, SettingsFault> {
    if text.is_empty() { Ok(String::new()) } else { path(text) }
}

/// A URL below which paths lie.
fn pull_url(text: &str) -> Result<Url, SettingsFault> {
    let url = http_url(text).filter(|url| url.query().is_none());
    url.ok_or_else(|| SettingsFault::Url(text.to_owned()))
}

/// A URL at which one artifact lies.
fn own_url(text: &str) -> Result<Url, SettingsFault> {
    http_url(text).ok_or_else(|| SettingsFault::OwnUrl(text.to_owned()))
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && text.len() <= PULL_URL_BYTES_MAX
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

/// A table, and where it stands.
struct Table<'t> {
    text: &'t [u8],
    /// With a trailing dot; empty at the top.
    key: String,
    span: Range<usize>,
    values: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    fn only(&self, known: &[&str]) -> Result<(), SettingsError> {
        let stranger = self.values.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        // The first in the file, not in the alphabet.
        match stranger.min_by_key(|key| key.span().start) {
            Some(key) => Err(self.at(&key.span(), key.get_ref(), SettingsFault::Unknown)),
            None => Ok(()),
        }
    }

    fn value(&self, key: &str) -> Option<&'t Value<'t>> {
        self.values.get(key)
    }

    fn required(&self, key: &str) -> Result<&'t Value<'t>, SettingsError> {
        self.value(key).ok_or_else(|| self.fault(key, SettingsFault::Missing))
    }

    /// A string that must be there, and means something.
    fn text<T>(
        &self,
        key: &str,
        meaning: impl Fn(&str) -> Result<T, SettingsFault>,
    ) -> Result<T, SettingsError> {
        let value = self.required(key)?;
        let text = value.get_ref().as_str().ok_or(SettingsFault::Kind { expected: "a string" });
        text.and_then(meaning).map_err(|fault| self.fault(key, fault))
    }

    /// A list of strings that may be absent.
    fn texts<T>(
        &self,
        key: &str,
        max: usize,
        meaning: impl Fn(&str) -> Result<T, SettingsFault>,
    ) -> Result<Option<Vec<T>>, SettingsError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let kind = SettingsFault::Kind { expected: "a list of strings" };
        let items = value.get_ref().as_array().ok_or_else(|| self.fault(key, kind.clone()))?;
        self.few(key, items.len(), max)?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            let text = item.get_ref().as_str().ok_or_else(|| kind.clone());
            texts.push(text.and_then(&meaning).map_err(|fault| self.at(&item.span(), key, fault))?);
        }
        Ok(Some(texts))
    }

    /// A table that may be absent.
    fn table(&self, key: &str) -> Result<Option<Self>, SettingsError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let kind = SettingsFault::Kind { expected: "a table" };
        let values = value.get_ref().as_table().ok_or_else(|| self.fault(key, kind))?;
        Ok(Some(Self { text: self.text, key: format!("{}{key}.", self.key), span: value.span(), values }))
    }

    /// A list of tables that may be absent.
    fn tables(&self, key: &str, max: usize) -> Result<Vec<Self>, SettingsError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let kind = SettingsFault::Kind { expected: "a list of tables, each written [[...]]" };
        let items = value.get_ref().as_array().ok_or_else(|| self.fault(key, kind.clone()))?;
        self.few(key, items.len(), max)?;
        let mut tables = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let values = item.get_ref().as_table().ok_or_else(|| self.at(&item.span(), key, kind.clone()))?;
            let key = format!("{}{key}[{}].", self.key, number + 1);
            tables.push(Self { text: self.text, key, span: item.span(), values });
        }
        Ok(tables)
    }

    fn few(&self, key: &str, found: usize, max: usize) -> Result<(), SettingsError> {
        if found <= max { Ok(()) } else { Err(self.fault(key, SettingsFault::TooMany { found, max })) }
    }

    /// A fault of a key: where its value stands, or the table that lacks it.
    fn fault(&self, key: &str, fault: SettingsFault) -> SettingsError {
        let span = self.value(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.at(&span, key, fault)
    }

    fn at(&self, span: &Range<usize>, key: &str, fault: SettingsFault) -> SettingsError {
        SettingsError::Key { line: line_at(self.text, span.start), key: format!("{}{key}", self.key), fault }
    }
}

/// The line of a byte, from 1.
fn line_at(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
