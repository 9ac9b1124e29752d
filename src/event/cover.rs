//! Whether one filter stands for everything that another one may ever match.

use super::selection::Filter;

impl Filter {
    /// Whether every topic that `asked` matches, also of the future, is matched by `self`. Byte by byte, as names are
    /// compared: case counts, and letters that look alike are not alike.
    #[must_use]
    pub fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (_, Self::Topic(name)) => self.matches(name),
            // A pattern stands for more than one name.
            (Self::Topic(_), Self::Pattern(_)) => false,
            (Self::Pattern(_), Self::Pattern(_)) => segments_cover(self.as_str(), asked.as_str()),
        }
    }
}

fn segments_cover(granted: &str, asked: &str) -> bool {
    let (mut granted, mut asked) = (granted.split('/'), asked.split('/'));
    loop {
        match (granted.next(), asked.next()) {
            // A final ** is one segment or more, and there is one.
            (Some("**"), Some(_)) | (None, None) => return true,
            // Any number of segments is more than a pattern of so many stands for.
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
        fn what_is_covered_is_what_matches_no_name_more(granted in filter(), asked in filter()) {
            let more = names().iter().any(|name| asked.matches(name) && !granted.matches(name));
            prop_assert_eq!(granted.covers(&asked), !more);
        }
    }
}
