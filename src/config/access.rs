//! `[[access.tokens]]` and `[[access.issuers]]`: static tokens, and trusted issuers of JWTs.
//!
//! In a flag or an environment variable the value is inline TOML.

use super::{
    errors::{TableId, TablePart, ValueProblem},
    kinds::{FilePath, PlainText, Switch, ValueKind, problem},
    list::ListOf,
    names::Token,
    tables::{self, ConfigTable, text_of},
};
use crate::{
    access::{
        Grant, RelayGrant, from_hex,
        settings::{IssuerSettings, KeySource, StaticToken},
    },
    event::Filter,
};

/// A topic or a pattern.
#[derive(Debug)]
pub struct TopicFilter;
/// A list of static tokens, as TOML.
#[derive(Debug)]
pub struct TokenList;
/// A list of issuers of JWTs, as TOML.
#[derive(Debug)]
pub struct IssuerList;

impl ValueKind for TopicFilter {
    type Value = Filter;
    const METAVAR: &'static str = "TOPICS";

    fn parse(text: &str) -> Result<Filter, Vec<String>> {
        Filter::new(text).or_else(|error| problem(format_args!("is not a topic or a pattern ({error})")))
    }
}

impl ValueKind for RelayGrant {
    type Value = Self;
    const METAVAR: &'static str = "MODELS";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::new(text).or_else(problem)
    }
}

impl ValueKind for TokenList {
    type Value = Vec<StaticToken>;
    const METAVAR: &'static str = "TOML";
    const IS_TOML: bool = true;

    fn parse(text: &str) -> Result<Vec<StaticToken>, Vec<String>> {
        Self::parse_parts(text).map_err(tables::texts)
    }

    fn parse_parts(text: &str) -> Result<Vec<StaticToken>, Vec<ValueProblem>> {
        let tokens: Vec<StaticToken> = tables::parse(text, "token", TOKENS, |table| {
            table.reject_unknown(&["name", "sha256", "publish", "subscribe", "relay", "admin"]);
            let mut entry = ListEntry(table);
            let name = entry.0.required::<Token>("name", "name the holder, as in name = \"backup\"");
            let sha256 = entry.0.required::<Sha256>("sha256", "`gapless token --static` makes a token and its hash");
            let grant = entry.grant();
            Some(StaticToken { name: name?, sha256: sha256?, grant })
        })?;
        for (index, token) in tokens.iter().enumerate() {
            if let Some(duplicate) = tokens[..index].iter().find(|duplicate| duplicate.name == token.name) {
                let text = format!("has two tokens named {:?}; give each its own name", duplicate.name);
                let part = Some(TablePart { table: TableId::Index(index), key: Some("name".into()) });
                return Err(vec![ValueProblem { text, part }]);
            }
        }
        Ok(tokens)
    }
}

impl ValueKind for IssuerList {
    type Value = Vec<IssuerSettings>;
    const METAVAR: &'static str = "TOML";
    const IS_TOML: bool = true;

    fn parse(text: &str) -> Result<Vec<IssuerSettings>, Vec<String>> {
        Self::parse_parts(text).map_err(tables::texts)
    }

    fn parse_parts(text: &str) -> Result<Vec<IssuerSettings>, Vec<ValueProblem>> {
        tables::parse(text, "issuer", ISSUERS, |table| {
            table.reject_unknown(&["issuer", "audience", "algorithms", "key", "key_file", "jwks"]);
            let mut entry = ListEntry(table);
            let issuer = entry.0.required::<Word>("issuer", "write the required claim iss");
            let audience =
                entry.0.required::<PlainText>("audience", "write the required claim aud, as in audience = \"gapless\"");
            let algorithms =
                entry.0.required::<ListOf<PlainText>>("algorithms", "pin them, as in algorithms = [\"EdDSA\"]");
            let keys = entry.keys();
            Some(IssuerSettings { issuer: issuer?, audience: audience?, algorithms: algorithms?, keys: keys? })
        })
    }
}

const TOKENS: &str =
    "is not a list of tokens; write it like [{ name = \"ci\", sha256 = \"…\", publish = [\"jobs/*\"] }]";
const ISSUERS: &str = "is not a list of issuers; write it like [{ issuer = \"https://login.example\", audience = \"gapless\", \
                       algorithms = [\"EdDSA\"], key_file = \"login.pem\" }]";

/// Text without white space.
struct Word;

impl ValueKind for Word {
    type Value = String;
    const METAVAR: &'static str = "TEXT";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return problem("is empty or has white space");
        }
        Ok(text.into())
    }
}

/// A hash of 32 bytes, as 64 hexadecimal digits.
struct Sha256;

impl ValueKind for Sha256 {
    type Value = [u8; 32];
    const METAVAR: &'static str = "SHA256";

    fn parse(text: &str) -> Result<[u8; 32], Vec<String>> {
        from_hex(text).map_or_else(|| problem("is not a SHA-256, which has 64 hexadecimal digits"), Ok)
    }
}

/// One table of a list: a token or an issuer.
struct ListEntry<'e, 'a>(&'e mut ConfigTable<'a>);

impl ListEntry<'_, '_> {
    fn grant(&mut self) -> Grant {
        Grant {
            publish: self.0.read::<ListOf<TopicFilter>>("publish").unwrap_or_default(),
            subscribe: self.0.read::<ListOf<TopicFilter>>("subscribe").unwrap_or_default(),
            relay: self.0.read::<ListOf<RelayGrant>>("relay").unwrap_or_default(),
            admin: self.0.read::<Switch>("admin").unwrap_or_default(),
        }
    }

    fn keys(&mut self) -> Option<KeySource> {
        let given = ["key", "key_file", "jwks"].into_iter().filter_map(|key| Some((key, text_of(self.0.get(key)?))));
        let Ok([(key, text)]) = <[_; 1]>::try_from(given.collect::<Vec<_>>()) else {
            self.0.report(None, "give exactly one of key, key_file and jwks");
            return None;
        };
        Some(match key {
            "key" => KeySource::Inline(text),
            "key_file" => KeySource::File(self.0.read::<FilePath>("key_file")?),
            _ => KeySource::Jwks(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_token_has_a_name_a_hash_and_a_grant() {
        let text = format!(
            "[{{ name = \"ci\", sha256 = \"{HASH}\", publish = [\"jobs/*\"], subscribe = \"a, b/**\", relay = \"openai/gpt-*, ollama\", admin = true }}]"
        );
        let tokens = TokenList::parse(&text).expect("valid");
        assert_eq!((&*tokens[0].name, tokens[0].sha256[0], tokens[0].grant.admin), ("ci", 0x9f, true));
        assert_eq!((tokens[0].grant.publish.len(), tokens[0].grant.subscribe.len()), (1, 2));
        let grant = &tokens[0].grant;
        assert!(grant.may_relay("openai", Some("gpt-5")) && grant.may_relay("ollama", None));
        assert!(!grant.may_relay("openai", Some("o1")));
    }

    #[test]
    fn every_mistake_of_a_token_is_reported_without_its_secret() {
        let text = "[{ sha256 = \"hunter2\", publish = [\"a*\"], relay = [\"Open AI\"], admim = true }]";
        let problems = TokenList::parse(text).expect_err("wrong");
        for want in [
            "name is missing",
            "sha256 is not a SHA-256",
            "publish has an item",
            "relay has an item that is not a provider",
            "admim",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(want)), "{want}: {problems:#?}");
        }
        assert!(!problems.concat().contains("hunter2"), "{problems:#?}");
        let twins = format!("[{{ name = \"a\", sha256 = \"{HASH}\" }}, {{ name = \"a\", sha256 = \"{HASH}\" }}]");
        assert!(TokenList::parse(&twins).expect_err("twins")[0].contains("two tokens"));
    }

    #[test]
    fn an_issuer_needs_an_audience_algorithms_and_keys() {
        let whole = "[{ issuer = \"https://login.example\", audience = \"gapless\", algorithms = [\"EdDSA\"], jwks = \"https://login.example/keys\" }]";
        let issuers = IssuerList::parse(whole).expect("valid");
        assert_eq!(issuers[0].keys, KeySource::Jwks("https://login.example/keys".into()));
        let problems = IssuerList::parse("[{ key = \"hunter2\", jwks = \"x\" }]").expect_err("wrong");
        for want in [
            "issuer is missing",
            "audience is missing",
            "algorithms is missing",
            "exactly one of key, key_file and jwks",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(want)), "{want}: {problems:#?}");
        }
        assert!(!problems.concat().contains("hunter2"), "{problems:#?}");
    }
}
