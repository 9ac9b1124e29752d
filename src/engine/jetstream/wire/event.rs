//! An event, and its topic's state after it.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    super::metadata_text::{metadata_text, read_metadata},
    error::{BINARY_VERSION, FIRST_VERSION, WireError},
    fields::{
        FieldText, Fields, GL, GL_JOB, GL_METADATA, GL_TOPIC, GL_WRITE, HeaderLookup, HeaderText, decode, encode,
        number,
    },
};
use crate::{
    engine::log::store::{EventOrigin, StoredEvent, TopicKey, TopicSnapshot},
    event::{Data, Event, EventName, Metadata, Millis, NewEvent, Seq, TopicName, TraceParent},
};

/// An event, as a message of the stream tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct EventRecord {
    /// The incarnation of its topic.
    pub(in crate::engine::jetstream) key: TopicKey,
    /// The event. Its position is that of the message.
    pub(in crate::engine::jetstream) stored: StoredEvent,
    /// Its topic's state after the commit; with the newest event of each topic in a commit.
    pub(in crate::engine::jetstream) state: Option<TopicSnapshot>,
    /// The append of another hub that it is part of.
    pub(in crate::engine::jetstream) job: Option<JobTag>,
}

/// An event's place in an append that a hub forwarded to the leader: `<hub>.<number>.<index>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct JobTag {
    /// The id of the hub.
    pub(in crate::engine::jetstream) hub: Box<str>,
    /// Which of its appends.
    pub(in crate::engine::jetstream) number: u64,
    /// Which event of the append; the first is 0.
    pub(in crate::engine::jetstream) index: u32,
}

/// A random number that tells a write from all others: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::jetstream) struct WriteId(u64);

impl EventRecord {
    /// The headers of the message whose payload is the event's data.
    pub(in crate::engine::jetstream) fn headers(&self) -> HeaderText {
        let StoredEvent { prev, event } = &self.stored;
        let new = &event.new;
        let binary = new.data.is_binary();
        let flags: String = [(new.close, 'c'), (new.of_run, 'r'), (new.name.is_removed(), 'x'), (binary, 'b')]
            .into_iter()
            .filter_map(|(on, flag)| on.then_some(flag))
            .collect();
        let version = if binary || new.metadata.is_some() { BINARY_VERSION } else { FIRST_VERSION };
        let mut text = FieldText::of_version(version)
            .number('k', self.key.0)
            .number_unless_0('p', prev.0)
            .number('t', event.time.0)
            .verbatim('f', &flags);
        if let Some(retry) = new.retry {
            text = text.number('r', retry.into());
        }
        if !new.name.is_default() && !new.name.is_removed() {
            text = text.text('n', new.name.as_str());
        }
        // Not the header `traceparent`: servers act on that one, and trace the message themselves.
        if let Some(parent) = &new.traceparent {
            text = text.verbatim('w', &parent.to_string());
        }
        let mut headers = vec![(GL, text.finish())];
        headers.extend(new.metadata.as_ref().map(|metadata| (GL_METADATA, metadata_text(metadata))));
        headers.extend(self.state.as_ref().map(|state| (GL_TOPIC, snapshot_text(state))));
        headers.extend(self.job.as_ref().map(|job| (GL_JOB, job.to_string())));
        headers
    }

    /// The event of the message at `seq` on the subject of `topic`. Its data is empty when only headers were asked for.
    ///
    /// # Errors
    /// When it is no event, or one of a newer version.
    pub(in crate::engine::jetstream) fn decode(
        topic: TopicName,
        seq: Seq,
        headers: &(impl HeaderLookup + ?Sized),
        payload: Bytes,
    ) -> Result<Self, WireError> {
        let fields = Fields::of(headers)?;
        let flags = fields.verbatim('f').unwrap_or_default();
        let retry = fields.number('r')?.map(u32::try_from).transpose();
        let name = if flags.contains('x') {
            EventName::removed()
        } else {
            EventName::stored(&fields.text('n')?).map_err(|_| WireError::Malformed("the name is not an event's"))?
        };
        let data = if flags.contains('b') {
            Data::binary(payload)
        } else {
            Data::new(payload).map_err(|_| WireError::Malformed("the data is not UTF-8"))?
        };
        let new = NewEvent {
            topic,
            name,
            data,
            retry: retry.map_err(|_| WireError::Malformed("a field is not a number"))?,
            close: flags.contains('c'),
            of_run: flags.contains('r'),
            traceparent: fields.verbatim('w').and_then(|text| TraceParent::parse(text.as_bytes())).map(Arc::new),
            metadata: metadata(headers)?,
        };
        let time = Millis(fields.number('t')?.ok_or(WireError::Malformed("an event without a time"))?);
        let key = TopicKey(fields.number('k')?.ok_or(WireError::Malformed("an event without its topic's key"))?);
        let prev = Seq(fields.number_or_0('p')?);
        if prev >= seq || key.0 > seq.0 {
            return Err(WireError::Malformed("an event that is before its topic"));
        }
        let job = headers.header(GL_JOB).and_then(JobTag::parse);
        let stored = StoredEvent { prev, event: Arc::new(Event { seq, time, new }) };
        Ok(Self { key, stored, state: snapshot(headers)?, job })
    }
}

impl JobTag {
    /// Parses what `Display` writes; `None` for anything else.
    pub(in crate::engine::jetstream) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (hub, of, index) = (decode(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        let tag = Self { hub: hub.into(), number: of, index: u32::try_from(index).ok()? };
        (parts.next().is_none() && !tag.hub.is_empty()).then_some(tag)
    }
}

impl From<&EventOrigin> for JobTag {
    fn from(origin: &EventOrigin) -> Self {
        Self { hub: Box::from(&*origin.unit.hub), number: origin.unit.number, index: origin.index }
    }
}

impl fmt::Display for JobTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hub = String::new();
        encode(&self.hub, &mut hub);
        write!(f, "{hub}.{}.{}", self.number, self.index)
    }
}

impl WriteId {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub(in crate::engine::jetstream) fn random() -> Self {
        Self(getrandom::u64().expect("the system has random numbers"))
    }

    /// The header of the first message of the write.
    pub(in crate::engine::jetstream) fn header(self) -> (&'static str, String) {
        (GL_WRITE, format!("{:016x}", self.0))
    }

    /// Whether a message is the first one of this write.
    pub(in crate::engine::jetstream) fn is_of(self, headers: &(impl HeaderLookup + ?Sized)) -> bool {
        headers.header(GL_WRITE).is_some_and(|text| text == self.header().1)
    }
}

fn metadata(headers: &(impl HeaderLookup + ?Sized)) -> Result<Option<Metadata>, WireError> {
    let Some(text) = headers.header(GL_METADATA) else { return Ok(None) };
    read_metadata(text).map(Some).ok_or(WireError::Malformed("the metadata is not base64 of up to 16 KiB"))
}

/// The text of a topic's state.
pub(super) fn snapshot_text(state: &TopicSnapshot) -> String {
    let of = [
        ('m', state.mark.0),
        ('a', state.first.0),
        ('u', state.first_time.0),
        ('d', state.trimmed_time.0),
        ('e', state.events),
        ('b', state.bytes),
    ];
    let text = of.into_iter().fold(FieldText::plain(), |text, (key, number)| text.number_unless_0(key, number));
    let text = text.finish();
    // A header of another client's may not be empty.
    if text.is_empty() { "e=0".into() } else { text }
}

/// The topic's state that a message tells; `None` when it tells none.
pub(super) fn snapshot(headers: &(impl HeaderLookup + ?Sized)) -> Result<Option<TopicSnapshot>, WireError> {
    let Some(text) = headers.header(GL_TOPIC) else { return Ok(None) };
    let fields = Fields::plain(text);
    Ok(Some(TopicSnapshot {
        mark: Seq(fields.number_or_0('m')?),
        trimmed_time: Millis(fields.number_or_0('d')?),
        first: Seq(fields.number_or_0('a')?),
        first_time: Millis(fields.number_or_0('u')?),
        events: fields.number_or_0('e')?,
        bytes: fields.number_or_0('b')?,
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::engine::jetstream::wire) fn snapshots() -> impl Strategy<Value = TopicSnapshot> {
        any::<[u64; 6]>().prop_map(|[mark, trimmed, first, time, events, bytes]| TopicSnapshot {
            mark: Seq(mark),
            trimmed_time: Millis(trimmed),
            first: Seq(first),
            first_time: Millis(time),
            events,
            bytes,
        })
    }

    fn jobs() -> impl Strategy<Value = JobTag> {
        ("\\PC{1,12}", any::<u64>(), any::<u32>()).prop_map(|(hub, number, index)| JobTag {
            hub: hub.into(),
            number,
            index,
        })
    }

    prop_compose! {
        fn records()(
            seq in 1..=u64::MAX,
            prev in any::<u64>(),
            key in any::<u64>(),
            time in any::<u64>(),
            name in "\\PC{0,40}",
            removed in any::<bool>(),
            (data, binary) in any::<(Vec<u8>, bool)>(),
            metadata in prop::collection::vec(any::<u8>(), 0..40),
            retry in any::<Option<u32>>(),
            (close, of_run, traceparent) in any::<(bool, bool, [u8; TraceParent::BYTES])>(),
            state in prop::option::of(snapshots()),
            job in prop::option::of(jobs()),
        ) -> EventRecord {
            let named = EventName::stored(&name).unwrap_or_default();
            let new = NewEvent {
                topic: TopicName::new("größe/ü").expect("valid"),
                name: if removed { EventName::removed() } else { named },
                data: if binary { Data::binary(data.into()) } else { Data::any(data.into()) },
                retry,
                close,
                of_run,
                traceparent: TraceParent::from_bytes(traceparent).map(Arc::new),
                metadata: Metadata::stored(&metadata),
            };
            let event = Event { seq: Seq(seq), time: Millis(time), new };
            let stored = StoredEvent { prev: Seq(prev % seq), event: Arc::new(event) };
            EventRecord { key: TopicKey(key.min(seq)), stored, state, job }
        }
    }

    fn decode_headers(headers: &[(&'static str, String)], record: &EventRecord) -> Result<EventRecord, WireError> {
        let event = &record.stored.event;
        EventRecord::decode(event.new.topic.clone(), event.seq, headers, event.new.data.bytes().clone())
    }

    proptest! {
        #[test]
        fn an_event_survives_its_message(record in records()) {
            let headers = record.headers();
            for (_, value) in &headers {
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{value:?}");
                prop_assert!(!value.is_empty() && value.trim() == value, "{value:?}");
            }
            prop_assert_eq!(decode_headers(&headers, &record), Ok(record));
        }

        #[test]
        fn no_headers_panic(gl in any::<String>(), rest in any::<String>(), state in any::<String>()) {
            let record = EventRecord::decode(
                TopicName::new("a").expect("valid"),
                Seq(9),
                [(GL, format!("1 {gl} k=1 t=1")), (GL_JOB, rest), (GL_TOPIC, state)].as_slice(),
                Bytes::new(),
            );
            drop(record);
        }
    }

    fn decode_one(gl: &str, data: &'static [u8]) -> Result<EventRecord, WireError> {
        let headers = [(GL, gl.to_owned())];
        EventRecord::decode(TopicName::new("a").expect("valid"), Seq(9), headers.as_slice(), Bytes::from_static(data))
    }

    #[test]
    fn an_event_in_few_fields_and_one_with_fields_of_later_versions() {
        let record = decode_one("1 k=1 t=5 zz=new f=cQ", b"x").expect("an event");
        assert!(record.stored.event.new.close && record.stored.event.new.name.is_default());
        assert_eq!((record.stored.prev, record.state), (Seq(0), None));
    }

    #[test]
    fn only_what_older_hubs_do_not_know_has_a_version_that_stops_them() {
        let version = |change: fn(&mut NewEvent)| {
            let mut record = decode_one("1 k=1 t=5", b"x").expect("an event");
            change(&mut Arc::make_mut(&mut record.stored.event).new);
            record.headers()[0].1.split(' ').next().map(str::to_owned)
        };
        assert_eq!(version(|new| new.close = true).as_deref(), Some("1"));
        assert_eq!(version(|new| new.data = Data::binary(Bytes::new())).as_deref(), Some("2"));
        assert_eq!(version(|new| new.metadata = Metadata::stored(b"\x01")).as_deref(), Some("2"));
    }

    #[test]
    fn hostile_messages_are_refused() {
        let long = format!("1 k=1 t=5 n={}", "a".repeat(100_000));
        for gl in [
            "1",
            "1 k=1",
            "1 t=5",
            "1 k=10 t=5",
            "1 k=1 p=9 t=5",
            "1 k=1 t=-5",
            "1 k=1 t=5 r=4294967296",
            "1 k=1 t=5 n=%",
            "1 k=1 t=99999999999999999999",
            "1 k=1 t=5 n=hub.gap",
            "1 k=1 t=5 n=a%0Ab",
            &long,
        ] {
            assert!(matches!(decode_one(gl, b"x"), Err(WireError::Malformed(_))), "{}", &gl[..gl.len().min(80)]);
        }
        assert!(decode_one("1 k=1 t=5", b"\xff").is_err() && decode_one("2 k=1 t=5 f=b", b"\xff").is_ok());
        assert_eq!(decode_one("7 k=1 t=5", b"x"), Err(WireError::Newer(7)));
        for metadata in ["", "AQ", "?", &"A".repeat(4 * 16 * 1024 / 3 + 4)] {
            let headers = [(GL, "2 k=1 t=5".to_owned()), (GL_METADATA, metadata.to_owned())];
            let topic = TopicName::new("a").expect("valid");
            let record = EventRecord::decode(topic, Seq(9), headers.as_slice(), Bytes::new());
            assert!(matches!(record, Err(WireError::Malformed(_))), "{}", metadata.len());
        }
        for tag in ["", ".", "a", "a.1", "a.1.", "a.1.2.3", "a.1.4294967296", ".1.2", "a.-1.2", "é.1.2"] {
            assert_eq!(JobTag::parse(tag), None, "{tag:?}");
        }
    }

    #[test]
    fn a_write_knows_its_own_messages() {
        let (one, other) = (WriteId::random(), WriteId::random());
        assert!(one.is_of([one.header()].as_slice()) && !other.is_of([one.header()].as_slice()));
        assert!(!one.is_of([].as_slice()));
    }
}
