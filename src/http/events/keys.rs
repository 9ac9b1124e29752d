//! The keys of a query for events. An input that is ignored in silence starts a stream elsewhere than was meant, so a key
//! that can only be a slip is refused; what browsers, proxies and polyfills add of their own is not.

use crate::http::{
    problem::{Code, Problem},
    query::Query,
};

/// Every key that means something here, but for the cursor's.
const KNOWN: [&str; 8] = ["topic", "from", "since", "format", "limit", "wait", "keepalive", "access_token"];

/// What other hubs and logs call it, and what it is called here.
const ELSEWHERE: [(&str, &str); 9] = [
    ("topics", "topic"),
    ("channel", "topic"),
    ("channels", "topic"),
    ("cursor", "last_event_id"),
    ("after", "last_event_id"),
    ("offset", "from"),
    ("start", "from"),
    ("last", "from=last:N"),
    ("tail", "from=last:N"),
];

/// The cursor, however its key is spelled: `last_event_id`, `lastEventId`, `Last-Event-ID` and the like. The first that is
/// not empty.
pub(super) fn cursor<'a>(query: &'a Query<'_>) -> Option<&'a str> {
    query.lossy_where(|key| plain(key) == "lasteventid").find(|text| !text.is_empty())
}

/// # Errors
/// Names the first key that is meant for this but spelled in another way.
pub(super) fn check(query: &Query<'_>) -> Result<(), Problem> {
    for key in query.keys().filter(|key| !KNOWN.contains(key)) {
        let plain = plain(key);
        let known = KNOWN.iter().find(|known| self::plain(known) == plain);
        let here = known.or_else(|| ELSEWHERE.iter().find(|(name, _)| *name == plain).map(|(_, here)| here));
        if let Some(here) = here {
            let detail = format!("the query's '{}' is called '{here}' here", key.escape_debug());
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
    }
    Ok(())
}

/// A key without its case, hyphens and underscores.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_taken_in_every_spelling() {
        for key in ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "last-event-id", "LASTEVENTID"] {
            let text = format!("topic=t&lastEventId=&{key}=abcd-7");
            let query = Query::new(Some(&text));
            assert_eq!((cursor(&query), check(&query)), (Some("abcd-7"), Ok(())), "{key}");
        }
        assert_eq!(cursor(&Query::new(Some("topic=t&last_event=1"))), None);
    }

    #[test]
    fn a_key_that_can_only_be_a_slip_is_refused_and_what_others_add_is_not() {
        for key in ["Topic", "topics", "FROM", "access-token", "keepAlive", "channel", "after", "last"] {
            assert!(check(&Query::new(Some(&format!("topic=t&{key}=x")))).is_err(), "{key}");
        }
        for key in ["_", "utm_source", "cacheBuster", "t", "v", "", "topic", "r"] {
            assert_eq!(check(&Query::new(Some(&format!("topic=t&{key}=x")))), Ok(()), "{key}");
        }
    }
}
