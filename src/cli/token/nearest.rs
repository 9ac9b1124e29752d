//! Why a grant does or does not cover a topic.

use crate::event::Filter;

/// The grant that covers `asked`, or why none does.
pub(super) fn covering_grant<'g>(grants: &'g [Filter], asked: &Filter) -> Result<&'g Filter, String> {
    if let Some(grant) = grants.iter().find(|grant| grant.covers(asked)) {
        return Ok(grant);
    }
    let nearest = grants.iter().max_by_key(|grant| difference(grant.as_str(), asked.as_str()).0);
    Err(nearest.map_or_else(
        || "nothing is granted".into(),
        |grant| format!("nearest is {}, but {}", grant.as_str(), difference(grant.as_str(), asked.as_str()).1),
    ))
}

/// How many segments match, and why the next one does not.
fn difference(granted: &str, asked: &str) -> (usize, String) {
    let (mut granted, mut asked) = (granted.split('/'), asked.split('/'));
    for matching in 0.. {
        let position = matching + 1;
        let problem = match (granted.next(), asked.next()) {
            (Some("**"), None) => "its ** needs one segment or more, but none is left".into(),
            (Some(_), None) => "it has more segments".into(),
            (None, _) => format!("it has only {matching} {}", if matching == 1 { "segment" } else { "segments" }),
            (Some("**"), Some(_)) => return (usize::MAX, "it covers all of it".into()),
            (Some(_), Some("**")) => format!("it does not cover any number of segments from segment {position} on"),
            (Some("*"), Some(_)) => continue,
            (Some(one), Some("*")) => format!("segment {position} is only {one:?}, but * asks for all"),
            (Some(one), Some(other)) if one == other => continue,
            (Some(one), Some(other)) if one.to_lowercase() == other.to_lowercase() => {
                format!("segment {position} is {one:?}, not {other:?}: names are case-sensitive")
            }
            (Some(one), Some(other)) => format!("segment {position} is {one:?}, not {other:?}"),
        };
        return (matching, problem);
    }
    unreachable!("names end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(grants: &[&str], asked: &str) -> String {
        let filter = |text: &str| Filter::new(text).expect("valid");
        let grants: Vec<Filter> = grants.iter().map(|text| filter(text)).collect();
        match covering_grant(&grants, &filter(asked)) {
            Ok(grant) => grant.as_str().to_owned(),
            Err(why) => why,
        }
    }

    #[test]
    fn the_grant_that_covers_is_named() {
        assert_eq!(explain(&["news", "jobs/*", "jobs/**"], "jobs/42"), "jobs/*");
        assert_eq!(explain(&["news", "jobs/*", "jobs/**"], "jobs/*/log"), "jobs/**");
    }

    #[test]
    fn the_nearest_grant_is_named_with_its_difference() {
        for (grants, asked, want) in [
            (&[][..], "a", "nothing is granted"),
            (&["news", "jobs/*"], "jobs/42/log", "nearest is jobs/*, but it has only 2 segments"),
            (&["news", "jobs/*/log"], "jobs/42", "nearest is jobs/*/log, but it has more segments"),
            (&["jobs/**"], "jobs", "nearest is jobs/**, but its ** needs one segment or more, but none is left"),
            (
                &["jobs/*"],
                "jobs/**",
                "nearest is jobs/*, but it does not cover any number of segments from segment 2 on",
            ),
            (&["jobs/a"], "jobs/*", "nearest is jobs/a, but segment 2 is only \"a\", but * asks for all"),
            (
                &["Jobs/*"],
                "jobs/1",
                "nearest is Jobs/*, but segment 1 is \"Jobs\", not \"jobs\": names are case-sensitive",
            ),
            (&["jobs/a"], "jobs/b", "nearest is jobs/a, but segment 2 is \"a\", not \"b\""),
        ] {
            assert_eq!(explain(grants, asked), want);
        }
    }
}
