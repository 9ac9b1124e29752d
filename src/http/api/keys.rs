//! The query keys of each route. A key that the hub ignores has no effect, and the client does not notice: so a key
//! that can only be a mistake is refused. Keys that browsers, proxies and polyfills add are ignored.

use crate::http::message::{
    problem::{Code, Problem},
    query::Query,
};

/// The keys of a route's query.
#[derive(Debug)]
pub struct Keys {
    /// The keys that the route reads.
    pub(super) known: &'static [&'static str],
    /// Normalized names that other hubs and logs use, with what to use here.
    aliases: &'static [(&'static str, &'static str)],
}

/// The key that may carry a credential on every route.
pub(super) const CREDENTIAL: &str = "access_token";

/// `GET /events`. The cursor's key has several [spellings](cursor).
pub const EVENTS: Keys = Keys {
    known: &["topic", "from", "since", "format", "limit", "wait", "before", "keepalive", CREDENTIAL],
    aliases: &[
        ("topics", "'topic'"),
        ("channel", "'topic'"),
        ("channels", "'topic'"),
        ("cursor", "'last_event_id'"),
        ("after", "'last_event_id'"),
        ("offset", "'from'"),
        ("start", "'from'"),
        ("previous", "'before'"),
        ("last", "'from=last:N'"),
        ("tail", "'from=last:N'"),
    ],
};

/// `POST /events`, whose body has the parameters.
pub const EVENTS_BY_BODY: Keys = Keys {
    known: &[CREDENTIAL],
    aliases: &[
        ("topic", "'topics' in the body"),
        ("topics", "'topics' in the body"),
        ("lasteventid", "'last_event_id' in the body"),
        ("from", "'from' in the body"),
        ("since", "'since' in the body"),
        ("format", "'format' in the body"),
        ("limit", "'limit' in the body"),
        ("wait", "'wait' in the body"),
        ("before", "'before' in the body"),
        ("keepalive", "'keepalive' in the body"),
    ],
};

/// `POST /publish`.
pub const PUBLISH: Keys = Keys {
    known: &["topic", "event", "retry", "close", "receipt", CREDENTIAL],
    aliases: &[
        ("topics", "'topic'"),
        ("channel", "'topic'"),
        ("channels", "'topic'"),
        ("eventname", "'event'"),
        ("eventtype", "'event'"),
        ("closed", "'close'"),
        ("receipts", "'receipt'"),
        ("data", "the body"),
        ("message", "the body"),
        ("idempotencykey", "the header 'Idempotency-Key'"),
        ("ifmatch", "the header 'If-Match'"),
    ],
};

/// `GET /topics`.
pub const TOPICS: Keys = Keys {
    known: &["prefix", "search", "after", "limit", CREDENTIAL],
    aliases: &[
        ("topic", "'prefix', or the path /topics/T"),
        ("topics", "'prefix'"),
        ("pattern", "'prefix' or 'search'"),
        ("q", "'search'"),
        ("query", "'search'"),
        ("contains", "'search'"),
        ("cursor", "'after'"),
        ("next", "'after'"),
        ("offset", "'after'"),
        ("start", "'after'"),
    ],
};

/// `/topics/T`, whose settings are in the body.
pub const TOPIC: Keys = Keys {
    known: &[CREDENTIAL],
    aliases: &[
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

/// `/events/<id>`.
pub const EVENT: Keys = Keys {
    known: &["topic", CREDENTIAL],
    aliases: &[("topics", "'topic'"), ("channel", "'topic'"), ("channels", "'topic'")],
};

/// `POST /backup`.
pub const BACKUP: Keys = Keys { known: &[CREDENTIAL], aliases: &[] };

/// `GET /whoami`.
pub const WHOAMI: Keys = Keys { known: &[CREDENTIAL], aliases: &[("token", "'access_token'")] };

/// `GET /runs`.
pub const RUNS: Keys = Keys {
    known: &["topic", "status", "after", "limit", CREDENTIAL],
    aliases: &[("cursor", "'after'"), ("next", "'after'"), ("state", "'status'")],
};

/// `POST /runs`, whose body has the parameters of the run. The query has those of the answer.
pub const BEGIN_RUN: Keys = Keys {
    known: &["format", "batch_ms", CREDENTIAL],
    aliases: &[
        ("batch", "'batch_ms'"),
        ("provider", "'provider' in the body"),
        ("topic", "'topic' in the body"),
        ("path", "'path' in the body"),
        ("ondisconnect", "'on_disconnect' in the body"),
        ("lasteventid", "the header 'Last-Event-ID'"),
        ("idempotencykey", "the header 'Idempotency-Key'"),
    ],
};

/// `GET` and `DELETE /runs/ID`.
pub const RUN: Keys = Keys { known: &[CREDENTIAL], aliases: &[] };

/// `GET /runs/ID/events`. The cursor's key has several [spellings](cursor).
pub const RUN_EVENTS: Keys = Keys {
    known: &["format", "batch_ms", CREDENTIAL],
    aliases: &[("after", "'last_event_id'"), ("cursor", "'last_event_id'"), ("batch", "'batch_ms'")],
};

/// `GET /runs/active`.
pub const ACTIVE_RUN: Keys =
    Keys { known: &["topic", "seen", "format", "batch_ms", CREDENTIAL], aliases: &[("batch", "'batch_ms'")] };

/// `POST /runs/ID/stop`.
pub const RUN_STOP: Keys = Keys { known: &["mode", CREDENTIAL], aliases: &[("drain", "'mode=drain'")] };

/// `GET /admin/streams`.
pub const STREAMS: Keys = Keys {
    known: &["limit", "after", "sort", "holder", "topic", CREDENTIAL],
    aliases: &[
        ("next", "'after'"),
        ("cursor", "'after'"),
        ("offset", "'after'"),
        ("order", "'sort'"),
        ("orderby", "'sort'"),
        ("topics", "'topic'"),
        ("channel", "'topic'"),
    ],
};

/// `DELETE /admin/streams`. A filter that is not read here would end more streams than were meant.
pub const END_STREAMS: Keys = Keys {
    known: &["holder", CREDENTIAL],
    aliases: &[
        ("id", "DELETE /admin/streams/ID for one stream"),
        ("topic", "'holder'"),
        ("topics", "'holder'"),
        ("limit", "'holder'"),
        ("after", "'holder'"),
        ("sort", "'holder'"),
    ],
};

/// `DELETE /admin/streams/ID`.
pub const END_STREAM: Keys =
    Keys { known: &[CREDENTIAL], aliases: &[("holder", "DELETE /admin/streams?holder=H for all of a holder")] };

/// `GET /v1/stream/NAME`, whose protocol asks that others are ignored.
pub const STREAM_READ: Keys = Keys { known: &["offset", "live", "cursor", CREDENTIAL], aliases: &[] };

/// `GET /.well-known/mercure`, whose protocol asks that others are ignored; so these are read there.
#[cfg(test)]
pub(super) const MERCURE: Keys = Keys {
    known: &["topic", "match", "match_exact", "match_urlpattern", "last_event_id", "authorization"],
    aliases: &[],
};

/// A list of Mercure's active subscriptions.
#[cfg(test)]
pub(super) const MERCURE_LIST: Keys = Keys { known: &["after", "last_event_id", "authorization"], aliases: &[] };

/// One of Mercure's active subscriptions.
#[cfg(test)]
pub(super) const MERCURE_ONE: Keys = Keys { known: &["authorization"], aliases: &[] };

/// The cursor: the first value that is not empty of `last_event_id`, `lastEventId`, `Last-Event-ID` or another spelling
/// that differs in case, hyphens and underscores only.
pub fn cursor<'a>(query: &'a Query<'_>) -> Option<&'a str> {
    query.lossy_where(|key| normalized(key) == "lasteventid").find(|text| !text.is_empty())
}

impl Keys {
    /// Refuses a query with a misspelled key, or with the name that another hub uses.
    ///
    /// # Errors
    /// Names the first such key, and what to use instead.
    pub fn check(&self, query: &Query<'_>) -> Result<(), Problem> {
        for key in query.keys().filter(|key| !self.known.contains(key)) {
            if let Some(here) = self.suggestion(&normalized(key)) {
                let detail = format!("the query's '{}' is not read here; use {here}", key.escape_debug());
                return Err(Problem::new(Code::QueryInvalid, detail));
            }
        }
        Ok(())
    }

    fn suggestion(&self, normalized: &str) -> Option<String> {
        let known =
            self.known.iter().find(|known| self::normalized(known) == normalized).map(|known| format!("'{known}'"));
        known.or_else(|| self.aliases.iter().find(|(name, _)| *name == normalized).map(|(_, here)| (*here).to_owned()))
    }
}

/// A key in lower case without hyphens and underscores.
fn normalized(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// The keys of every route, and its methods.
#[cfg(test)]
pub(super) const ALL: [(&str, &[&str], &Keys); 23] = [
    ("/events", &["get"], &EVENTS),
    ("/events", &["post"], &EVENTS_BY_BODY),
    ("/publish", &["post"], &PUBLISH),
    ("/topics", &["get"], &TOPICS),
    ("/topics/{topic}", &["get", "put", "delete"], &TOPIC),
    ("/events/{id}", &["get", "delete"], &EVENT),
    ("/whoami", &["get"], &WHOAMI),
    ("/backup", &["post"], &BACKUP),
    ("/runs", &["get"], &RUNS),
    ("/runs", &["post"], &BEGIN_RUN),
    ("/runs/{run}", &["get", "delete"], &RUN),
    ("/runs/{run}/events", &["get"], &RUN_EVENTS),
    ("/runs/active", &["get"], &ACTIVE_RUN),
    ("/runs/{run}/stop", &["post"], &RUN_STOP),
    ("/admin/streams", &["get"], &STREAMS),
    ("/admin/streams", &["delete"], &END_STREAMS),
    ("/admin/streams/{id}", &["delete"], &END_STREAM),
    ("/v1/stream/{name}", &["get"], &STREAM_READ),
    ("/.well-known/mercure", &["get"], &MERCURE),
    ("/.well-known/mercure/subscriptions", &["get"], &MERCURE_LIST),
    ("/.well-known/mercure/subscriptions/{selector}", &["get"], &MERCURE_LIST),
    ("/.well-known/mercure/subscriptions/{selector}/{name}", &["get"], &MERCURE_LIST),
    ("/.well-known/mercure/subscriptions/{selector}/{name}/{subscriber}", &["get"], &MERCURE_ONE),
];

#[cfg(test)]
mod tests {
    use super::*;

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
        for (_, _, keys) in ALL {
            for known in keys.known {
                assert_eq!(check(keys, known), Ok(()), "{known}");
                assert!(check(keys, &known.to_uppercase()).is_err(), "{known}");
            }
            for (name, _) in keys.aliases {
                assert!(check(keys, name).is_err(), "{name}");
                assert_eq!(normalized(name), *name, "or it would never be found");
                assert!(!keys.known.contains(name), "{name}");
            }
            for key in ["access-token", "accessToken"] {
                let reads_token = keys.known.contains(&CREDENTIAL);
                assert_eq!(check(keys, key).is_err(), reads_token, "a token that is passed over: {key}");
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
