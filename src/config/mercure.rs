//! `[mercure]`: the URL of the hub, and the keys of tokens of the protocol.

use std::path::Path;

use url::Url;

use super::kinds::{ValueKind, problem};
use crate::access::{MAX_KEY_FILE_BYTES, read_file, signed::SignedTokens};

/// The path of the hub, which the protocol fixes.
const HUB_PATH: &str = "/.well-known/mercure";

/// The URL of a hub of Mercure.
#[derive(Debug)]
pub struct MercureUrl;

impl ValueKind for MercureUrl {
    type Value = Url;
    const METAVAR: &'static str = "URL";

    fn parse(text: &str) -> Result<Url, Vec<String>> {
        let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let plain = |url: &Url| url.path() == HUB_PATH && url.query().is_none() && url.fragment().is_none();
        url.filter(plain).map_or_else(
            || problem("is not the URL of a hub; write it like https://hub.example/.well-known/mercure"),
            Ok,
        )
    }
}

/// A file with a key, and the algorithms that are pinned for it.
#[derive(Debug, Clone, Copy)]
pub struct KeyFile<'a> {
    /// The file; `None` when there is no key.
    pub file: Option<&'a Path>,
    /// JWA names.
    pub algorithms: &'a [String],
}

/// The keys of tokens: of publishers, and of subscribers.
#[derive(Debug)]
pub struct MercureKeys {
    /// Of publishers; `None` when nobody may publish.
    pub publishers: Option<SignedTokens>,
    /// Of subscribers; `None` when their tokens are not accepted.
    pub subscribers: Option<SignedTokens>,
}

impl MercureKeys {
    /// Reads the files.
    ///
    /// # Errors
    /// All mistakes, each as (configuration key, problem).
    pub fn read(publishers: KeyFile<'_>, subscribers: KeyFile<'_>) -> Result<Self, Vec<(&'static str, String)>> {
        let mut mistakes = Vec::new();
        let mut of = |key: &'static str, KeyFile { file, algorithms }: KeyFile<'_>| {
            let text = read_file(file?, MAX_KEY_FILE_BYTES).map_err(|problem| vec![problem]);
            let tokens = text.and_then(|text| SignedTokens::new(&text, algorithms));
            tokens.map_err(|problems| mistakes.extend(problems.into_iter().map(|problem| (key, problem)))).ok()
        };
        let publishers = of("mercure.publisher_key", publishers);
        let subscribers = of("mercure.subscriber_key", subscribers);
        if mistakes.is_empty() { Ok(Self { publishers, subscribers }) } else { Err(mistakes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_at_the_path_that_the_protocol_fixes() {
        for text in ["https://hub.example/.well-known/mercure", "http://localhost:8080/.well-known/mercure"] {
            assert_eq!(MercureUrl::parse(text).expect(text).as_str(), text);
        }
        for text in [
            "",
            "hub.example",
            "https://hub.example/",
            "ftp://x/.well-known/mercure",
            "https://x/.well-known/mercure?a",
        ] {
            assert!(MercureUrl::parse(text).is_err(), "{text}");
        }
    }
}
