//! Why a grant does or does not open a topic, in words.

use crate::event::Filter;

/// The grant that covers `asked`, or why none does.
pub(super) fn opening<'g>(grants: &'g [Filter], asked: &Filter) -> Result<&'g Filter, String> {
    if let Some(grant) = grants.iter().find(|grant| grant.covers(asked)) {
        return Ok(grant);
    }
    let nearest = grants.iter().max_by_key(|grant| difference(grant.as_str(), asked.as_str()).0);
    Err(nearest.map_or_else(
        || "nothing is granted".into(),
        |grant| format!("nearest is {}, but {}", grant.as_str(), difference(grant.as_str(), asked.as_str()).1),
    ))
}

/// How many segments fit, and what happens then.
fn difference(granted: &str, asked: &str) -> (usize, String) {
    let (mut granted, mut asked) = (granted.split('/'), asked.split('/'));
    for fits in 0.. {
        let place = fits + 1;
        let problem = match (granted.next(), asked.next()) {
            (Some("**"), None) => "its ** is one segment or more, and none is left".into(),
            (Some(_), None) => "it has more segments".into(),
            (None, _) => format!("it has only {fits} {}", if fits == 1 { "segment" } else { "segments" }),
            (Some("**"), Some(_)) => return (usize::MAX, "it covers all of it".into()),
            (Some(_), Some("**")) => format!("it does not cover any number of segments from segment {place} on"),
            (Some("*"), Some(_)) => continue,
            (Some(one), Some("*")) => format!("segment {place} is only {one:?}, and all are asked for"),
            (Some(one), Some(other)) if one == other => continue,
            (Some(one), Some(other)) if one.to_lowercase() == other.to_lowercase() => {
                format!("segment {place} is {one:?}, not {other:?}: capitals count")
            }
            (Some(one), Some(other)) => format!("segment {place} is {one:?}, not {other:?}"),
        };
        return (fits, problem);
    }
    unreachable!("names end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(grants: &[&str], asked: &str) -> String {
        let filter = |text: &str| Filter::new(text).expect("valid");
        let grants: Vec<Filter> = grants.iter().map(|text| filter(text)).collect();
        match opening(&grants, &filter(asked)) {
            Ok(grant) => grant.as_str().to_owned(),
            Err(why) => why,
        }
    }

    #[test]
    fn the_grant_that_opens_is_named() {
        assert_eq!(told(&["news", "jobs/*", "jobs/**"], "jobs/42"), "jobs/*");
        assert_eq!(told(&["news", "jobs/*", "jobs/**"], "jobs/*/log"), "jobs/**");
    }

    #[test]
    fn the_nearest_grant_says_where_it_ends() {
        for (grants, asked, want) in [
            (&[][..], "a", "nothing is granted"),
            (&["news", "jobs/*"], "jobs/42/log", "nearest is jobs/*, but it has only 2 segments"),
            (&["news", "jobs/*/log"], "jobs/42", "nearest is jobs/*/log, but it has more segments"),
            (&["jobs/**"], "jobs", "nearest is jobs/**, but its ** is one segment or more, and none is left"),
            (
                &["jobs/*"],
                "jobs/**",
                "nearest is jobs/*, but it does not cover any number of segments from segment 2 on",
            ),
            (&["jobs/a"], "jobs/*", "nearest is jobs/a, but segment 2 is only \"a\", and all are asked for"),
            (&["Jobs/*"], "jobs/1", "nearest is Jobs/*, but segment 1 is \"Jobs\", not \"jobs\": capitals count"),
            (&["jobs/a"], "jobs/b", "nearest is jobs/a, but segment 2 is \"a\", not \"b\""),
        ] {
            assert_eq!(told(grants, asked), want);
        }
    }
}
