//! `[relay.providers.NAME]`, and `--relay NAME,…`: the providers of the relay.
//!
//! In a flag or an environment variable the value of `relay.providers` is inline TOML.

use std::time::Duration;

use super::{
    errors::ValueProblem,
    kinds::{DurationText, FilePath, ValueKind, problem},
    list::ListOf,
    provider_key::{ProviderKey, VariableName},
    tables::{self, ConfigTable},
};
use crate::{
    client::{HttpUrl, InvalidUrl},
    event::Glob,
};

/// A provider of the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its name, in the path `/relay/NAME/…` and in grants.
    pub name: String,
    /// Its wire format.
    pub dialect: DialectKind,
    /// What stands before the path of each request: the origin, and the path's beginning without a slash at its end.
    pub url: HttpUrl,
    /// Where its key is.
    pub key: ProviderKey,
    /// Models that may be asked for; empty is any.
    pub models: Vec<Glob>,
    /// When a run is stopped that nobody watches; `None` for the default of each way to begin one.
    pub on_disconnect: Option<OnDisconnect>,
    /// Paths at the provider that are opened beside the dialect's own.
    pub endpoints: Vec<Glob>,
}

/// The wire format of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectKind {
    /// OpenAI, and the many services that speak it.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Ollama.
    Ollama,
}

/// When a run is stopped that nobody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    /// Never.
    Continue,
    /// As soon as nobody watches it.
    Cancel,
    /// When nobody has watched it for this long.
    After(Duration),
}

/// Providers by name, as TOML.
#[derive(Debug)]
pub struct ProviderTables;

impl DialectKind {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// The URL of the service that it is named after.
    #[must_use]
    pub fn public_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }

    /// The variables in which its SDKs look for the key, in their order; empty when it needs none.
    #[must_use]
    pub fn key_variables(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi => &["OPENAI_API_KEY"],
            Self::Anthropic => &["ANTHROPIC_API_KEY"],
            Self::Gemini => &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
            Self::Ollama => &[],
        }
    }
}

impl ProviderSettings {
    /// The service that a dialect is named after, under the dialect's name, with the key of its SDKs' variable.
    #[must_use]
    pub fn public(dialect: DialectKind) -> Self {
        let variables = dialect.key_variables().iter().map(|&name| name.into()).collect::<Vec<_>>();
        Self {
            name: dialect.name().into(),
            dialect,
            url: BaseUrl::parse(dialect.public_url()).expect("a URL"),
            key: if variables.is_empty() { ProviderKey::None } else { ProviderKey::Variables(variables) },
            models: Vec::new(),
            on_disconnect: None,
            endpoints: Vec::new(),
        }
    }

    /// Adds the public provider of each of `dialects` whose name is not taken.
    pub(super) fn add_public(providers: &mut Vec<Self>, dialects: &[DialectKind]) {
        for &dialect in dialects {
            if providers.iter().all(|provider| provider.name != dialect.name()) {
                providers.push(Self::public(dialect));
            }
        }
    }
}

impl ValueKind for DialectKind {
    type Value = Self;
    const METAVAR: &'static str = "NAMES";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let known = Self::ALL.into_iter().find(|dialect| dialect.name() == text);
        known.map_or_else(|| problem("is not a dialect; choose openai, anthropic, gemini or ollama"), Ok)
    }
}

impl ValueKind for ProviderTables {
    type Value = Vec<ProviderSettings>;
    const METAVAR: &'static str = "TOML";
    const IS_TOML: bool = true;

    fn parse(text: &str) -> Result<Vec<ProviderSettings>, Vec<String>> {
        Self::parse_parts(text).map_err(tables::texts)
    }

    fn parse_parts(text: &str) -> Result<Vec<ProviderSettings>, Vec<ValueProblem>> {
        tables::parse_named(text, "provider", EXPECTED, read_provider)
    }
}

const EXPECTED: &str = "is not a table of providers; write it like { openai = { key_env = \"OPENAI_API_KEY\" } }";

fn read_provider(name: &str, table: &mut ConfigTable<'_>) -> Option<ProviderSettings> {
    let named = is_name(name);
    if !named {
        table.report(None, "a name has 1 to 32 characters of a-z, 0-9, '_' and '-'");
    }
    if table.get("key").is_some() {
        table.report(
            Some("key"),
            "a key does not stand in the configuration; name its variable (key_env) or file (key_file)",
        );
    }
    table.reject_unknown(&["dialect", "url", "key_env", "key_file", "models", "on_disconnect", "endpoints"]);
    let dialect = match DialectKind::parse(name) {
        Ok(same) if table.get("dialect").is_none() => Some(same),
        _ => table.required::<DialectKind>("dialect", "choose openai, anthropic, gemini or ollama"),
    };
    let url = match (table.get("url").is_some(), dialect) {
        (true, _) => table.read::<BaseUrl>("url"),
        (false, dialect) => dialect.map(|dialect| BaseUrl::parse(dialect.public_url()).expect("a URL")),
    };
    let key = read_key(table, dialect);
    let models = table.read::<ListOf<ModelPattern>>("models");
    let on_disconnect = table.read::<OnDisconnect>("on_disconnect");
    let endpoints = table.read::<ListOf<PathPattern>>("endpoints");
    Some(ProviderSettings {
        name: named.then(|| name.to_owned())?,
        dialect: dialect?,
        url: url?,
        key: key?,
        models: models.unwrap_or_default(),
        on_disconnect,
        endpoints: endpoints.unwrap_or_default(),
    })
}

fn read_key(table: &mut ConfigTable<'_>, dialect: Option<DialectKind>) -> Option<ProviderKey> {
    match (table.get("key_env").is_some(), table.get("key_file").is_some()) {
        (true, true) => {
            table.report(Some("key_file"), "give one of key_env and key_file");
            None
        }
        (true, false) => table.read::<VariableName>("key_env").map(|name| ProviderKey::Variables(vec![name])),
        (false, true) => table.read::<FilePath>("key_file").map(ProviderKey::File),
        (false, false) => {
            // A service of one's own may need no key; the public one refuses every request without.
            let variable = dialect.filter(|_| table.get("url").is_none());
            if let Some(variable) = variable.and_then(|dialect| dialect.key_variables().last()) {
                table.report(
                    None,
                    format!("has no key; name its variable, as in key_env = {variable:?}, or its key_file"),
                );
                return None;
            }
            Some(ProviderKey::None)
        }
    }
}

/// Whether `name` can be a provider's: it is a segment of a path, and a part of a grant before its slash.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

/// The URL that a provider's paths are appended to.
struct BaseUrl;
/// A pattern of models.
struct ModelPattern;
/// A pattern of paths at a provider.
struct PathPattern;

impl ValueKind for BaseUrl {
    type Value = HttpUrl;
    const METAVAR: &'static str = "URL";

    fn parse(text: &str) -> Result<HttpUrl, Vec<String>> {
        let mut url = match HttpUrl::parse(text) {
            Ok(url) => url,
            Err(InvalidUrl::UserInfo) => {
                return problem("has a user name; a key does not stand in the configuration, see key_env and key_file");
            }
            Err(_) => return problem("is not an http:// or https:// URL; write it like \"https://api.openai.com\""),
        };
        if url.query.is_some() || text.contains('#') {
            return problem("has a query or a fragment; only the origin and the beginning of the path are used");
        }
        url.path.truncate(url.path.trim_end_matches('/').len());
        Ok(url)
    }
}

impl ValueKind for OnDisconnect {
    type Value = Self;
    const METAVAR: &'static str = "TIME";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        match (text, DurationText::parse(text)) {
            ("continue", _) => Ok(Self::Continue),
            ("cancel", _) => Ok(Self::Cancel),
            (_, Ok(time)) if time.is_zero() => Ok(Self::Cancel),
            (_, Ok(time)) if time <= MAX_UNWATCHED => Ok(Self::After(time)),
            _ => problem("is not one of continue, cancel and a duration up to 7d"),
        }
    }
}

/// The longest that a run may last (`relay.run_timeout`): a longer time is `continue`.
const MAX_UNWATCHED: Duration = Duration::from_hours(7 * 24);

impl ValueKind for ModelPattern {
    type Value = Glob;
    const METAVAR: &'static str = "MODELS";

    fn parse(text: &str) -> Result<Glob, Vec<String>> {
        Glob::new(text).or_else(problem)
    }
}

impl ValueKind for PathPattern {
    type Value = Glob;
    const METAVAR: &'static str = "PATHS";

    fn parse(text: &str) -> Result<Glob, Vec<String>> {
        if !text.starts_with('/') || text.contains(['?', '#']) {
            return problem("is not a path at the provider; write it like \"/v1/files*\", without a query");
        }
        Glob::new(text).or_else(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> ProviderSettings {
        ProviderTables::parse(text).expect("valid").pop().expect("one")
    }

    #[test]
    fn a_provider_has_what_its_table_says() {
        let provider = one(
            "{ lab = { dialect = \"openai\", url = \"http://10.0.0.1:8000/api/\", key_file = \"lab.key\", \
                            models = [\"gpt-*\", \"o*\"], on_disconnect = \"90s\", endpoints = \"/v1/files*, /v1/batches\" } }",
        );
        assert_eq!((&*provider.name, provider.dialect), ("lab", DialectKind::OpenAi));
        assert_eq!((&*provider.url.server.address, &*provider.url.path), ("10.0.0.1:8000", "/api"));
        assert_eq!(provider.key, ProviderKey::File("lab.key".into()));
        assert_eq!(provider.models.iter().map(Glob::as_str).collect::<Vec<_>>(), ["gpt-*", "o*"]);
        assert_eq!(provider.on_disconnect, Some(OnDisconnect::After(Duration::from_secs(90))));
        assert_eq!(provider.endpoints.iter().map(Glob::as_str).collect::<Vec<_>>(), ["/v1/files*", "/v1/batches"]);
    }

    #[test]
    fn a_name_of_a_dialect_needs_only_the_key() {
        let provider = one("{ anthropic = { key_env = \"TEAM_KEY\" } }");
        assert_eq!(provider.dialect, DialectKind::Anthropic);
        assert_eq!(
            provider.url,
            HttpUrl { path: String::new(), ..HttpUrl::parse("https://api.anthropic.com/").expect("a URL") }
        );
        assert_eq!(provider.key, ProviderKey::Variables(vec!["TEAM_KEY".into()]));
        let other = ProviderSettings { key: ProviderKey::Variables(vec!["ANTHROPIC_API_KEY".into()]), ..provider };
        assert_eq!(ProviderSettings::public(DialectKind::Anthropic), other);
        assert_eq!(one("{ ollama = {} }"), ProviderSettings::public(DialectKind::Ollama));
    }

    #[test]
    fn every_mistake_of_a_provider_is_reported_without_its_secret() {
        let text = "{ 'Open AI' = { dialect = \"gpt\", url = \"https://me:hunter2@a/\", key = \"hunter2\", key_env = \"sk-hunter2\", \
                    models = [\"a b\"], on_disconnect = \"hunter2\", endpoints = [\"v1/files\"] }, \
                    openai = { url = \"https://a/?key=hunter2\", key_env = \"A\", key_file = \"hunter2\" }, \
                    gemini = {}, lab = { url = \"x\" }, x = 7 }";
        let problems = ProviderTables::parse(text).expect_err("wrong");
        for want in [
            "provider \"Open AI\": a name has",
            "provider \"Open AI\": dialect is not a dialect",
            "provider \"Open AI\": url has a user name",
            "provider \"Open AI\": a key does not stand in the configuration",
            "provider \"Open AI\": key_env is not the name of a variable",
            "provider \"Open AI\": models has an item that has white space",
            "provider \"Open AI\": on_disconnect is not one of",
            "provider \"Open AI\": endpoints has an item that is not a path",
            "provider \"openai\": url has a query",
            "provider \"openai\": give one of",
            "provider \"gemini\": has no key; name its variable, as in key_env = \"GEMINI_API_KEY\"",
            "provider \"lab\": dialect is missing",
            "provider \"lab\": url is not an http",
            "provider \"x\": it is not a table",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(want)), "{want}: {problems:#?}");
        }
        assert_eq!(problems.len(), 14, "{problems:#?}");
        let shown = problems.iter().filter(|problem| problem.contains("hunter2")).collect::<Vec<_>>();
        assert_eq!(shown, [""; 0]);
    }

    #[test]
    fn a_run_that_nobody_watches_is_stopped_when_the_key_says() {
        for (text, want) in [
            ("continue", Some(OnDisconnect::Continue)),
            ("cancel", Some(OnDisconnect::Cancel)),
            ("0s", Some(OnDisconnect::Cancel)),
            ("60s", Some(OnDisconnect::After(Duration::from_mins(1)))),
            ("8d", None),
            ("never", None),
        ] {
            assert_eq!(OnDisconnect::parse(text).ok(), want, "{text}");
        }
    }
}
