//! `[[retention.rules]]`: limits by topic or pattern.
//!
//! In a flag or an environment variable the value is inline TOML: `[{ topics = "jobs/**", max_age = "1d" }]`.

use super::{
    errors::ValueProblem,
    kinds::{Count, DurationText, Maybe, Milliseconds, Size, ValueKind},
    tables::{self, ConfigTable, text_of},
};
use crate::event::{
    Filter, Retention,
    retention::{MIN_AGE, Rule},
};

/// A list of retention rules, as TOML.
#[derive(Debug)]
pub struct RuleList;

impl ValueKind for RuleList {
    type Value = Vec<Rule>;
    const METAVAR: &'static str = "TOML";
    const IS_TOML: bool = true;

    fn parse(text: &str) -> Result<Vec<Rule>, Vec<String>> {
        Self::parse_parts(text).map_err(tables::texts)
    }

    fn parse_parts(text: &str) -> Result<Vec<Rule>, Vec<ValueProblem>> {
        tables::parse(text, "rule", EXPECTED, read_rule)
    }
}

const EXPECTED: &str = "is not a list of rules; write it like [{ topics = \"jobs/**\", max_age = \"1d\" }]";

fn read_rule(table: &mut ConfigTable<'_>) -> Option<Rule> {
    table.reject_unknown(&["topics", "max_events", "max_age", "max_bytes", "retry"]);
    let topics = match table.get("topics").map(|topics| Filter::new(&text_of(topics))) {
        Some(Ok(topics)) => Some(topics),
        Some(Err(error)) => {
            table.report(Some("topics"), format!("topics: {error}"));
            None
        }
        None => {
            table.report(None, "topics is missing; write it like topics = \"jobs/**\"");
            None
        }
    };
    let retention = Retention {
        max_events: limit::<Maybe<Count<u64>>>(table, "max_events", 1).flatten(),
        max_age: limit::<Maybe<DurationText>>(table, "max_age", MIN_AGE.as_nanos()).flatten(),
        max_bytes: limit::<Maybe<Size<u64>>>(table, "max_bytes", 1).flatten(),
    };
    Some(Rule { retry: limit::<Milliseconds>(table, "retry", 1), retention, topics: topics? })
}

/// The value of the limit `name`; `None` if it is missing or invalid.
fn limit<K: ValueKind>(table: &mut ConfigTable<'_>, name: &str, min: u128) -> Option<K::Value> {
    let text = text_of(table.get(name)?);
    let value = match K::parse(&text) {
        Ok(value) => value,
        Err(problems) => {
            for problem in problems {
                table.report(Some(name), format!("{name}: {text:?} {problem}"));
            }
            return None;
        }
    };
    if K::magnitude(&value).is_some_and(|magnitude| magnitude < min) {
        table.report(Some(name), format!("{name}: {text:?} would keep no event; leave it out for no limit"));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rule_has_topics_and_their_limits() {
        let text = r#"[{ topics = "jobs/**", max_age = "1d", max_events = 100, max_bytes = "1MiB", retry = "5s" },
                       { topics = "logs", max_age = "none" }]"#;
        let rules = RuleList::parse(text).expect("valid");
        assert_eq!(rules[0].topics, Filter::new("jobs/**").expect("valid"));
        assert_eq!(
            rules[0].retention,
            Retention { max_events: Some(100), max_age: Some(Duration::from_hours(24)), max_bytes: Some(1 << 20) }
        );
        assert_eq!((rules[0].retry, rules[1].retry), (Some(5_000), None));
        assert_eq!(rules[1].retention, Retention::default());
    }

    #[test]
    fn every_mistake_of_every_rule_is_reported() {
        let text = r#"[{ topics = "a/**/b", max_age = "soon", max_evnts = 1 }, { max_bytes = 0 }, 7]"#;
        let problems = RuleList::parse(text).expect_err("wrong");
        let about = |what: &str| problems.iter().filter(|problem| problem.contains(what)).count();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        for what in
            ["rule 1: topics", "rule 1: max_age", "max_evnts", "rule 2: topics is missing", "no event", "rule 3"]
        {
            assert_eq!(about(what), 1, "{what}: {problems:#?}");
        }
    }

    #[test]
    fn the_message_for_an_invalid_list_has_an_example() {
        for text in ["", "7", "[", "jobs/** max_age=1d"] {
            let problems = RuleList::parse(text).expect_err(text);
            assert!(problems[0].contains("write it like"), "{problems:?}");
        }
    }
}
