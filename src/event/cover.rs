//! Whether one filter matches every topic that another one can match.

use super::selection::Filter;

impl Filter {
    /// Whether `self` matches every topic that `asked` matches, including topics created later. Names are compared byte
    /// by byte: case counts, and characters that look alike are different.
    #[must_use]
    pub fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (_, Self::Topic(name)) => self.matches(name),
            // A pattern matches more than one name.
            (Self::Topic(_), Self::Pattern(_)) => false,
            (Self::Pattern(_), Self::Pattern(_)) => segments_cover(self.as_str(), asked.as_str()),
        }
    }
}

fn segments_cover(granted: &str, asked: &str) -> bool {
    let (mut granted, mut asked) = (granted.split('/'), asked.split('/'));
    loop {
        match (granted.next(), asked.next()) {
            // A final ** matches one segment or more, and there is one.
            (Some("**"), Some(_)) | (None, None) => return true,
            // A pattern of a fixed number of segments does not match any number of them.
            (Some(_), Some("**")) => return false,
            (Some("*"), Some(_)) => {}
            (Some(name), Some(other)) if name == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::TopicName;

    fn covers(granted: &str, asked: &str) -> bool {
        Filter::new(granted).expect("valid").covers(&Filter::new(asked).expect("valid"))
    }

    #[test]
    fn a_pattern_lies_within_another() {
        for (granted, asked, want) in [
            ("jobs/*", "jobs/42", true),
            ("jobs/*", "jobs/*", true),
            ("jobs/*", "jobs/**", false),
            ("jobs/*", "jobs/42/log", false),
            ("jobs/**", "jobs/*", true),
            ("jobs/**", "jobs/**", true),
            ("jobs/**", "jobs/*/**", true),
            ("jobs/**", "jobs/*/log", true),
            ("jobs/**", "jobs", false),
            ("jobs/**", "**", false),
            ("jobs/*/**", "jobs/**", false),
            ("*/**", "**", false),
            ("**", "*", true),
            ("**", "a/*/b", true),
            ("*/log", "a/log", true),
            ("*/log", "*/*", false),
            ("a", "*", false),
            ("a", "a", true),
            ("a", "A", false),
            ("caf\u{e9}", "cafe\u{301}", false),
            ("p\u{430}ul/*", "paul/*", false),
            ("jobs/*", "jobs/...", true),
            ("jobs/...", "jobs/*", false),
        ] {
            assert_eq!(covers(granted, asked), want, "{granted} covers {asked}");
        }
    }

    fn filter() -> impl Strategy<Value = Filter> {
        let segment = prop::sample::select(vec!["a", "b", "*"]);
        (prop::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(mut segments, open)| {
            if open {
                segments.push("**");
            }
            Filter::new(&segments.join("/")).expect("valid")
        })
    }

    /// Every name of up to five segments that are `a`, `b` or one that no filter names.
    fn names() -> Vec<TopicName> {
        let mut names = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..5 {
            names = names.iter().flat_map(|name| ["a", "b", "c"].map(|segment| format!("{name}/{segment}"))).collect();
            all.extend(names.iter().map(|name| TopicName::new(&name[1..]).expect("valid")));
        }
        all
    }

    proptest! {
        #[test]
        fn a_covered_filter_matches_no_name_that_the_covering_one_does_not(granted in filter(), asked in filter()) {
            let more = names().iter().any(|name| asked.matches(name) && !granted.matches(name));
            prop_assert_eq!(granted.covers(&asked), !more);
        }
    }
}
