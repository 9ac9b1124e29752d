//! `POST /backup`: everything up to the newest event, as a stream of frames ([`crate::backup`]), while the hub goes on.
//!
//! The body of the request names the parts that the client has, a SHA-256 a line; they are left out.
//!
//! A backup has every event, so it needs the grant to subscribe to all topics beside `admin`, and it is served where
//! events are, not at the operators' own address: there everybody on the machine may read the stats.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderValue, header};
use tokio::sync::Semaphore;

use super::{body::Bodies, keys};
use crate::{
    backup::frame::MAX_DIGESTS,
    engine::{BackupRequest, PartDigest},
    event::{Filter, Selection},
    http::{
        auth::{Caller, policy::Policies},
        message::{
            problem::{Code, Problem},
            query::Query,
        },
        net::{
            client_watch::ClientWatch,
            cutter::Cutter,
            handler::IncomingRequest,
            response::{Response, abortable},
        },
    },
    hub::Hub,
    lifecycle::Drain,
};

mod reader_pace;
mod stream;

use stream::BackupBody;

/// Backups at a time. One: each takes half of a core and of the disk's bandwidth at most.
const MAX_BACKUPS: usize = 1;

/// Bytes of the request's body at most: a digest and the end of its line for each part that a client may name.
const MAX_BODY_BYTES: usize = 65 * MAX_DIGESTS;

/// The content type of the stream.
const CONTENT_TYPE: &str = "application/vnd.gapless.backup";

/// What `/backup` needs of the process.
pub struct BackupState {
    hub: Arc<Hub>,
    bodies: Arc<Bodies>,
    policies: Arc<Policies>,
    drain: Drain,
    permits: Arc<Semaphore>,
}

impl BackupState {
    /// The state of a process in which no backup is being made.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, bodies: &Arc<Bodies>, policies: &Arc<Policies>, drain: &Drain) -> Self {
        Self {
            hub: Arc::clone(hub),
            bodies: Arc::clone(bodies),
            policies: Arc::clone(policies),
            drain: drain.clone(),
            permits: Arc::new(Semaphore::new(MAX_BACKUPS)),
        }
    }
}

/// Answers a request for a backup.
///
/// # Errors
/// When the caller may not read everything, the body is not a list of parts, another backup is being made, or the engine
/// has none.
pub async fn handle(state: &BackupState, caller: Caller, request: IncomingRequest) -> Result<Response, Problem> {
    let everything = Filter::new("**").ok().and_then(|all| Selection::new([all])).expect("a pattern");
    let permitted = |caller: &Caller| {
        caller.authorization.require_admin("make a backup")?;
        caller.authorization.subscribe(&everything)
    };
    let cutter = Cutter::of(request.extensions().get::<ClientWatch>());
    let (head, body) = request.into_parts();
    keys::BACKUP.check(&Query::new(head.uri.query()))?;
    if let Err(problem) = permitted(&caller) {
        state.bodies.discard(&head.headers, body).await;
        return Err(problem);
    }
    let (body, _memory) = state.bodies.read(&caller.quotas, &head.headers, body, MAX_BODY_BYTES).await?;
    let request = BackupRequest { have: parse(&body)? };
    let permit = Arc::clone(&state.permits).try_acquire_owned().map_err(|_| {
        Problem::new(Code::BackupRunning, "the hub makes one backup at a time; try again when the other one has ended")
    })?;
    let items = state.hub.backup(request).ok_or_else(|| unsupported(state.hub.engine_name()))?;
    let body = BackupBody::new(items, permit, caller.authorization, Arc::clone(&state.policies), &state.drain, cutter);
    let mut response = Response::new(abortable(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The parts that the client has.
fn parse(body: &[u8]) -> Result<HashSet<PartDigest>, Problem> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let digest = |line: &[u8]| std::str::from_utf8(line).ok().and_then(crate::access::from_hex).map(PartDigest);
    lines.map(digest).collect::<Option<_>>().ok_or_else(|| {
        Problem::new(
            Code::BodyInvalid,
            "each line of the body must be the SHA-256 of a part that need not be sent, as 64 hexadecimal digits; for a whole \
             backup send no body",
        )
    })
}

fn unsupported(engine: &str) -> Problem {
    let detail = match engine {
        "memory" => "the engine memory stores nothing that could be kept; use the engine sled".into(),
        "jetstream" => "the log is a stream of NATS, which is backed up by `nats stream backup`; see Backups in \
                        docs/JETSTREAM.md"
            .into(),
        other => format!("the engine {other} has no backups"),
    };
    Problem::new(Code::BackupUnsupported, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_a_list_of_digests_or_empty() {
        let digest = "0f".repeat(32);
        assert_eq!(parse(b"").expect("none"), HashSet::new());
        let two = format!("{digest}\n{}\n", "10".repeat(32));
        let want = [PartDigest([15; 32]), PartDigest([16; 32])];
        assert_eq!(parse(two.as_bytes()).expect("two"), HashSet::from(want));
        for wrong in ["0f", "{}", "0g", "\u{ff}"] {
            assert_eq!(parse(format!("{digest}\n{wrong}").as_bytes()).expect_err(wrong).code, Code::BodyInvalid);
        }
    }

    #[test]
    fn an_engine_without_backups_says_what_to_use() {
        assert!(unsupported("jetstream").detail.contains("nats stream backup"));
        assert!(unsupported("memory").detail.contains("sled"));
    }
}
