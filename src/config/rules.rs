//! `[[retention.rules]]`: limits by topic or pattern.
//!
//! As a flag or an environment variable the same value is inline TOML: `[{ topics = "jobs/**", max_age = "1d" }]`.

use super::{
    kinds::{Count, DurationText, Maybe, Milliseconds, Size, ValueKind},
    tables::{self, ConfigTable, ValueProblem, text_of},
};
use crate::event::{
    Filter, Retention,
    retention::{Rule, SHORTEST_AGE},
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

const EXPECTED: &str = "is no list of rules; write it like [{ topics = \"jobs/**\", max_age = \"1d\" }]";

fn read_rule(table: &mut ConfigTable<'_>) -> Option<Rule> {
    table.known(&["topics", "max_events", "max_age", "max_bytes", "retry"]);
    let topics = match table.get("topics").map(|topics| Filter::new(&text_of(topics))) {
        Some(Ok(topics)) => Some(topics),
        Some(Err(error)) => {
            table.wrong(Some("topics"), format!("topics: {error}"));
            None
        }
        None => {
            table.wrong(None, "topics is missing; say which, as in topics = \"jobs/**\"");
            None
        }
    };
    let retention = Retention {
        max_events: limit::<Maybe<Count<u64>>>(table, "max_events", 1).flatten(),
        max_age: limit::<Maybe<DurationText>>(table, "max_age", SHORTEST_AGE.as_nanos()).flatten(),
        max_bytes: limit::<Maybe<Size<u64>>>(table, "max_bytes", 1).flatten(),
    };
    Some(Rule { retry: limit::<Milliseconds>(table, "retry", 1), retention, topics: topics? })
}

/// The limit called `name`, when there is a good one.
fn limit<K: ValueKind>(table: &mut ConfigTable<'_>, name: &str, least: u128) -> Option<K::Value> {
    let text = text_of(table.get(name)?);
    let value = match K::parse(&text) {
        Ok(value) => value,
        Err(problems) => {
            for problem in problems {
                table.wrong(Some(name), format!("{name}: {text:?} {problem}"));
            }
            return None;
        }
    };
    if K::magnitude(&value).is_some_and(|magnitude| magnitude < least) {
        table.wrong(Some(name), format!("{name}: {text:?} would keep nothing; leave it out for no limit"));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rule_says_which_topics_and_what_they_keep() {
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
    fn every_mistake_of_every_rule_is_told() {
        let text = r#"[{ topics = "a/**/b", max_age = "soon", max_evnts = 1 }, { max_bytes = 0 }, 7]"#;
        let problems = RuleList::parse(text).expect_err("wrong");
        let about = |what: &str| problems.iter().filter(|problem| problem.contains(what)).count();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        for what in ["rule 1: topics", "rule 1: max_age", "max_evnts", "rule 2: topics is missing", "nothing", "rule 3"]
        {
            assert_eq!(about(what), 1, "{what}: {problems:#?}");
        }
    }

    #[test]
    fn what_is_no_list_is_told_how_to_write_one() {
        for text in ["", "7", "[", "jobs/** max_age=1d"] {
            let problems = RuleList::parse(text).expect_err(text);
            assert!(problems[0].contains("write it like"), "{problems:?}");
        }
    }
}
