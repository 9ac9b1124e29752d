//! The codes of problems, which PROTOCOL.md describes.

use http::StatusCode;

/// The table: every code, its status, and its title.
macro_rules! codes {
    ($($name:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// Why a request was refused. The meaning of a code never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status of the code.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The title: the same text for every problem of this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    TopicInvalid, "topic-invalid", BAD_REQUEST, "The topic is missing or breaks a rule for names";
    EventNameInvalid, "event-name-invalid", BAD_REQUEST, "The event name breaks a rule for names";
    DataNotUtf8, "data-not-utf8", BAD_REQUEST, "The data is not UTF-8 text";
    BodyInvalid, "body-invalid", BAD_REQUEST, "The body is not what this request needs";
    QueryInvalid, "query-invalid", BAD_REQUEST, "The query string is not what this request needs";
    IdInvalid, "id-invalid", BAD_REQUEST, "The id in the path is not an event id";
    HeaderInvalid, "header-invalid", BAD_REQUEST, "A header is not what this request needs";
    Unauthorized, "unauthorized", UNAUTHORIZED, "A credential is missing or not valid";
    Forbidden, "forbidden", FORBIDDEN, "The credential does not permit this";
    OriginForbidden, "origin-forbidden", FORBIDDEN, "Pages of this origin may not do this";
    HostUnknown, "host-unknown", MISDIRECTED_REQUEST, "The Host header does not name this hub";
    NotFound, "not-found", NOT_FOUND, "No resource has this path";
    TopicUnknown, "topic-unknown", NOT_FOUND, "There is no such topic";
    EventUnknown, "event-unknown", NOT_FOUND, "There is no such event";
    StreamUnknown, "stream-unknown", NOT_FOUND, "No open stream has this id";
    RunUnknown, "run-unknown", NOT_FOUND, "There is no such run";
    MethodNotAllowed, "method-not-allowed", METHOD_NOT_ALLOWED, "The path does not take this method";
    RequestTimeout, "request-timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    IdempotencyConflict, "idempotency-conflict", CONFLICT, "The Idempotency-Key was used for another request";
    TopicClosed, "topic-closed", CONFLICT, "The topic is closed";
    StreamExists, "stream-exists", CONFLICT, "There is a stream of this name with another configuration";
    ContentTypeMismatch, "content-type-mismatch", CONFLICT, "The stream has another content type";
    StreamSeqConflict, "stream-seq-conflict", CONFLICT, "The Stream-Seq is not above the last one";
    ProducerGap, "producer-gap", CONFLICT, "Appends of the producer are missing";
    ProducerFenced, "producer-fenced", FORBIDDEN, "A later producer with this id has taken over";
    StreamDeleted, "stream-deleted", GONE, "The stream was deleted";
    OffsetGone, "offset-gone", GONE, "Events after the offset are gone";
    BackupRunning, "backup-running", CONFLICT, "Another backup is being made";
    BackupUnsupported, "backup-unsupported", NOT_IMPLEMENTED, "The engine has no backups of its own";
    TopicBusy, "topic-busy", CONFLICT, "The topic has a running run";
    CursorUnknown, "cursor-unknown", GONE, "The run to be resumed is not known";
    PreconditionFailed, "precondition-failed", PRECONDITION_FAILED, "The topic's last id is not the expected one";
    HeadersTooLarge, "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "A header line is too large";
    TooLarge, "too-large", PAYLOAD_TOO_LARGE, "The request is too large";
    EncodingUnsupported, "encoding-unsupported", UNSUPPORTED_MEDIA_TYPE, "The body is compressed";
    EventFormatUnsupported, "event-format-unsupported", UNSUPPORTED_MEDIA_TYPE, "The format of the CloudEvent is not read here";
    TransferEncodingUnsupported, "transfer-encoding-unsupported", NOT_IMPLEMENTED, "The body's transfer coding is not known";
    UpstreamUnreachable, "upstream-unreachable", BAD_GATEWAY, "The provider cannot be reached";
    UpstreamFailed, "upstream-failed", BAD_GATEWAY, "The provider's answer cannot be passed on";
    UpstreamTimeout, "upstream-timeout", GATEWAY_TIMEOUT, "The provider did not answer in time";
    OverCapacity, "over-capacity", TOO_MANY_REQUESTS, "The hub is busy";
    RateLimited, "rate-limited", TOO_MANY_REQUESTS, "The client has reached its limit";
    KeysUnavailable, "keys-unavailable", SERVICE_UNAVAILABLE, "The issuer's keys are not loaded yet";
    Draining, "draining", SERVICE_UNAVAILABLE, "The hub is stopping";
    StoreUnavailable, "store-unavailable", SERVICE_UNAVAILABLE, "The store is unavailable";
    StorageFull, "storage-full", INSUFFICIENT_STORAGE, "The store is full";
}

impl Code {
    /// The range of `Retry-After` for transient codes, in seconds. Each response draws one at random, so that many
    /// refused clients do not retry together.
    ///
    /// `None` for what the client must change first.
    pub(super) const fn retry_after(self) -> Option<(u32, u32)> {
        match self {
            Self::OverCapacity | Self::RateLimited => Some((1, 4)),
            Self::KeysUnavailable | Self::Draining => Some((2, 6)),
            Self::StoreUnavailable | Self::StorageFull => Some((10, 30)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_means_one_thing() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(
            texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }
}
