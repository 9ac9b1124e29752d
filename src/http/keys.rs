//! Which keys the query of each route has. A key that is ignored in silence does something else than was meant, so one that can
//! only be a slip is refused; what browsers, proxies and polyfills add of their own is not.

use super::{
    problem::{Code, Problem},
    query::Query,
};

/// The keys of a route's query.
#[derive(Debug)]
pub struct Keys {
    /// Those that are read.
    known: &'static [&'static str],
    /// What other hubs and logs call it, and what to use here.
    elsewhere: &'static [(&'static str, &'static str)],
}

/// Of a route that reads no query of its own: where a credential may stand.
const CREDENTIAL: &str = "access_token";

/// `GET /events`. The cursor has [spellings](cursor) besides.
pub const EVENTS: Keys = Keys {
    known: &["topic", "from", "since", "format", "limit", "wait", "keepalive", CREDENTIAL],
    elsewhere: &[
        ("topics", "'topic'"),
        ("channel", "'topic'"),
        ("channels", "'topic'"),
        ("cursor", "'last_event_id'"),
        ("after", "'last_event_id'"),
        ("offset", "'from'"),
        ("start", "'from'"),
        ("last", "'from=last:N'"),
        ("tail", "'from=last:N'"),
    ],
};

/// `POST /events`, whose body says what is asked for.
pub const EVENTS_BY_BODY: Keys = Keys {
    known: &[CREDENTIAL],
    elsewhere: &[
        ("topic", "'topics' in the body"),
        ("topics", "'topics' in the body"),
        ("lasteventid", "'last_event_id' in the body"),
        ("from", "'from' in the body"),
        ("since", "'since' in the body"),
        ("format", "'format' in the body"),
        ("limit", "'limit' in the body"),
        ("wait", "'wait' in the body"),
        ("keepalive", "'keepalive' in the body"),
    ],
};

/// `POST /publish`.
pub const PUBLISH: Keys = Keys {
    known: &["topic", "event", "retry", "close", CREDENTIAL],
    elsewhere: &[
        ("topics", "'topic'"),
        ("channel", "'topic'"),
        ("channels", "'topic'"),
        ("eventname", "'event'"),
        ("eventtype", "'event'"),
        ("closed", "'close'"),
        ("data", "the body"),
        ("message", "the body"),
        ("idempotencykey", "the header 'Idempotency-Key'"),
        ("ifmatch", "the header 'If-Match'"),
    ],
};

/// `GET /topics`.
pub const TOPICS: Keys = Keys {
    known: &["prefix", "after", "limit", CREDENTIAL],
    elsewhere: &[
        ("topic", "'prefix', or the path /topics/T"),
        ("topics", "'prefix'"),
        ("pattern", "'prefix'"),
        ("cursor", "'after'"),
        ("next", "'after'"),
        ("offset", "'after'"),
        ("start", "'after'"),
    ],
};

/// `/topics/T`, whose settings stand in a body.
pub const TOPIC: Keys = Keys {
    known: &[CREDENTIAL],
    elsewhere: &[
        ("retention", "'retention' in the body"),
        ("maxevents", "'retention' in the body"),
        ("maxage", "'retention' in the body"),
        ("maxbytes", "'retention' in the body"),
        ("retry", "'retry' in the body"),
        ("closed", "'closed' in the body"),
        ("close", "'closed' in the body"),
        ("event", "DELETE /events/<id>?topic=T for one event"),
        ("id", "DELETE /events/<id>?topic=T for one event"),
    ],
};

/// `DELETE /events/<id>`.
pub const EVENT: Keys = Keys {
    known: &["topic", CREDENTIAL],
    elsewhere: &[("topics", "'topic'"), ("channel", "'topic'"), ("channels", "'topic'")],
};

/// The cursor, however its key is spelled: `last_event_id`, `lastEventId`, `Last-Event-ID` and the like. The first that is
/// not empty.
pub fn cursor<'a>(query: &'a Query<'_>) -> Option<&'a str> {
    query.lossy_where(|key| plain(key) == "lasteventid").find(|text| !text.is_empty())
}

impl Keys {
    /// Refuses a query with a key that is meant for this route but spelled in another way.
    ///
    /// # Errors
    /// Names the first one, and what to use instead.
    pub fn check(&self, query: &Query<'_>) -> Result<(), Problem> {
        for key in query.keys().filter(|key| !self.known.contains(key)) {
            if let Some(here) = self.meant_by(&plain(key)) {
                let detail = format!("the query's '{}' is not read here; use {here}", key.escape_debug());
                return Err(Problem::new(Code::QueryInvalid, detail));
            }
        }
        Ok(())
    }

    fn meant_by(&self, plain: &str) -> Option<String> {
        let known = self.known.iter().find(|known| self::plain(known) == plain).map(|known| format!("'{known}'"));
        known.or_else(|| self.elsewhere.iter().find(|(name, _)| *name == plain).map(|(_, here)| (*here).to_owned()))
    }
}

/// A key without its case, hyphens and underscores.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Keys; 6] = [&EVENTS, &EVENTS_BY_BODY, &PUBLISH, &TOPICS, &TOPIC, &EVENT];

    fn check(keys: &Keys, key: &str) -> Result<(), Problem> {
        keys.check(&Query::new(Some(&format!("{key}=x"))))
    }

    #[test]
    fn a_cursor_is_taken_in_every_spelling() {
        for key in ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "last-event-id", "LASTEVENTID"] {
            let text = format!("topic=t&lastEventId=&{key}=abcd-7");
            let query = Query::new(Some(&text));
            assert_eq!((cursor(&query), EVENTS.check(&query)), (Some("abcd-7"), Ok(())), "{key}");
        }
        assert_eq!(cursor(&Query::new(Some("topic=t&last_event=1"))), None);
    }

    #[test]
    fn a_key_that_can_only_be_a_slip_is_refused_and_what_others_add_is_not() {
        for keys in ALL {
            for known in keys.known {
                assert_eq!(check(keys, known), Ok(()), "{known}");
                assert!(check(keys, &known.to_uppercase()).is_err(), "{known}");
            }
            for (name, _) in keys.elsewhere {
                assert!(check(keys, name).is_err(), "{name}");
                assert_eq!(plain(name), *name, "or it would never be found");
                assert!(!keys.known.contains(name), "{name}");
            }
            for key in ["access-token", "accessToken"] {
                assert!(check(keys, key).is_err(), "a token that is passed over: {key}");
            }
            for key in ["_", "utm_source", "cacheBuster", "t", "v", "", "r"] {
                assert_eq!(check(keys, key), Ok(()), "{key}");
            }
        }
        for key in ["Topic", "FROM", "keepAlive", "after", "last"] {
            assert!(check(&EVENTS, key).is_err(), "{key}");
        }
    }
}
