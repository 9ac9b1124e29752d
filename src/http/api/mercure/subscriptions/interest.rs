//! Which subscriptions the selectors of a stream can mean, so that the others do not wake it.

use std::collections::BTreeSet;

use super::collection::{SUBSCRIPTIONS_PATH, kind_named};
use crate::http::api::mercure::selector::SelectorSet;

/// The subscriptions that some selectors may select: those of these paths, or any. They may be fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Those whose selectors have these paths; none, when there is none.
    In(BTreeSet<Box<str>>),
    /// Any.
    Any,
}

impl Interest {
    /// That of some selectors.
    #[must_use]
    pub fn of(selectors: &SelectorSet) -> Self {
        let mut paths = BTreeSet::new();
        let below = format!("{SUBSCRIPTIONS_PATH}/");
        for selector in selectors.iter() {
            let Some(start) = selector.path_start() else { continue };
            if below.starts_with(start) {
                if selector.is_exact() {
                    continue;
                }
                return Self::Any;
            }
            let Some(rest) = start.strip_prefix(&below) else { continue };
            let Some(length) = collection_length(rest) else { return Self::Any };
            paths.insert(start[..below.len() + length].into());
        }
        Self::In(paths)
    }

    /// Whether it is in nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::In(paths) if paths.is_empty())
    }
}

/// Bytes of the path's part that is of the selector, when `rest` goes beyond it.
fn collection_length(rest: &str) -> Option<usize> {
    let (first, after) = rest.split_once('/')?;
    if kind_named(first).is_none() {
        return Some(first.len());
    }
    // Of dialect 1, or of a topic of dialect 0 that is called like a kind: then the next segment is the subscriber.
    let (second, _) = after.split_once('/')?;
    Some(first.len() + 1 + second.len())
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::http::api::mercure::{
        selector::{MatcherKind, Selector},
        subscriptions::collection::Collection,
    };

    const SUBSCRIBER: &str = "urn%3Auuid%3Abb3de268-05b0-4c65-b44e-8f9acefc29d6";

    fn selector(text: &str) -> Vec<Selector> {
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        let pattern = Selector::url_pattern(text, &hub);
        [Selector::text_or_template(text), Selector::exact(text)].into_iter().chain(pattern).collect()
    }

    fn interest(text: &str) -> Interest {
        Interest::of(&SelectorSet::new(vec![Selector::text_or_template(text)]))
    }

    #[test]
    fn selectors_of_other_topics_are_interested_in_no_subscription() {
        for text in [
            "a",
            "/",
            "/.well-known",
            "https://example.com/{id}",
            "/books/{id}",
            "/.well-known/mercure",
            "/.well-known/mercure-x/{a}",
        ] {
            assert!(interest(text).is_none(), "{text}");
        }
        let hub = Url::parse("https://hub.example/.well-known/mercure").expect("a URL");
        for (pattern, none) in [
            ("https://example.com/*", true),
            ("/books/:id", true),
            ("https://hub.example/*", false),
            ("https://*.example/*", false),
            ("/.well-known/mercure/subscriptions/*", false),
        ] {
            let set = SelectorSet::new(vec![Selector::url_pattern(pattern, &hub).expect("valid")]);
            assert_eq!(Interest::of(&set).is_none(), none, "{pattern}");
        }
    }

    #[test]
    fn a_selector_of_one_room_is_interested_in_it_alone() {
        for (rest, want) in [
            ("/%2Froom%2F1/{subscriber}", Some("/%2Froom%2F1")),
            ("/exact/%2Froom%2F1/{subscriber}", Some("/exact/%2Froom%2F1")),
            ("/a/b", Some("/a")),
            ("/{topic}/{subscriber}", None),
            ("/exact/{match}/{subscriber}", None),
            ("/%2Froom{+rest}", None),
            ("{+rest}", None),
        ] {
            let want =
                want.map_or(Interest::Any, |path| Interest::In([format!("{SUBSCRIPTIONS_PATH}{path}").into()].into()));
            assert_eq!(interest(&format!("{SUBSCRIPTIONS_PATH}{rest}")), want, "{rest}");
        }
        assert_eq!(interest("*"), Interest::Any);
        assert_eq!(interest("{+all}"), Interest::Any);
    }

    proptest::proptest! {
        #[test]
        fn what_a_selector_selects_is_in_its_interest(
            cut in 0_usize..=130,
            tail in proptest::sample::select(vec!["", "{x}", "{+x}", "{/x}", "{x}/{y}", ":x", "*", "/:x", "/{x}"]),
            absolute in proptest::bool::ANY,
            kind in proptest::sample::select(vec![MatcherKind::Topic, MatcherKind::Exact, MatcherKind::UrlPattern]),
            name in proptest::sample::select(vec!["a", "/a", "exact", "urlpattern"]),
        ) {
            let collection = Collection::new(kind, name);
            let path = format!("{}/{SUBSCRIBER}", collection.path());
            let origin = if absolute { "https://hub.example" } else { "" };
            let text = format!("{origin}{}{tail}", &path[..cut.min(path.len())]);
            for selector in selector(&text) {
                let selected = selector.matches(&path);
                let interest = Interest::of(&SelectorSet::new(vec![selector]));
                let interested = match &interest {
                    Interest::Any => true,
                    Interest::In(paths) => paths.contains(collection.path()),
                };
                proptest::prop_assert!(interested || !selected, "{} {} {:?}", text, path, interest);
            }
        }
    }
}
