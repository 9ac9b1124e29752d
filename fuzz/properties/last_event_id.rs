//! Any text is accepted as a `Last-Event-ID`: the stream resumes after that id, or begins with a gap.
//!
//! Input: the text; an `E` in it stands for the epoch of the store.

use std::{future::poll_fn, sync::Arc};

use gapless::{
    engine::{Append, log::LogConfig, log::LogEngine, memory::MemoryStore},
    event::{EventId, NewEvent, Seq, TopicName, position::Cursor},
    hub::{
        Hub, HubConfig,
        batch::ReadLimit,
        broker::Broker,
        subscription::{Delivery, GapReason, GapStart, Start, Subscription},
    },
};
use tokio::runtime::{Builder, Runtime};

/// Events in the log.
const HEAD: u64 = 3;

struct Fixture {
    runtime: Runtime,
    hub: Arc<Hub>,
}

/// Resumes with the input as the cursor.
pub(crate) fn holds_for(input: &[u8]) {
    thread_local!(static FIXTURE: Fixture = Fixture::new());
    FIXTURE.with(|fixture| {
        let text = String::from_utf8_lossy(input).replace('E', fixture.hub.epoch().as_str());
        let id = EventId::parse(&text);
        if let Some(id) = id {
            assert_eq!(EventId::parse(&id.to_string()), Some(id), "an id survives its text");
            assert!(id.to_string().len() <= 37);
        }
        fixture.resume(&text, id);
    });
}

impl Fixture {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let broker = Broker::new(1, &HubConfig::fixture());
        let engine = LogEngine::open(MemoryStore::new(), LogConfig::fixture(), broker.clone());
        let hub = Hub::new(engine, broker, HubConfig::fixture());
        let events = (0..HEAD).map(|_| NewEvent::new(topic(), "x")).collect();
        runtime.block_on(hub.publish(Append { events, expect: None, key: None })).expect("accepted");
        Self { runtime, hub }
    }

    fn resume(&self, text: &str, id: Option<EventId>) {
        let known = id.filter(|id| id.epoch == self.hub.epoch());
        let gap_reason = match known {
            None => Some(GapReason::Unknown),
            Some(id) => (id.seq > Seq(HEAD)).then_some(GapReason::Ahead),
        };
        let limit = ReadLimit { events: 100, bytes: 1 << 20 };
        let selection = topic().into();
        let subscribing = self.hub.subscribe(&selection, Start::Cursor(Cursor::new(text)), limit, 0);
        let mut stream = self.runtime.block_on(subscribing).expect("readable");
        if let Some(reason) = gap_reason {
            let Delivery::Gap(gap) = self.next(&mut stream) else { panic!("{text:?}: a gap comes first") };
            assert_eq!((gap.reason, gap.topic), (reason, None), "{text:?}");
            assert_eq!(gap.after, Some(GapStart::Sent(text.chars().take(64).collect())), "the cursor as it came");
        }
        let after = if gap_reason.is_some() { 0 } else { known.map_or(0, |id| id.seq.0) };
        if after < HEAD {
            let Delivery::Events(batch) = self.next(&mut stream) else { panic!("{text:?}: the rest follows") };
            let seqs: Vec<u64> = batch.frames().iter().map(|frame| frame.id.seq.0).collect();
            assert_eq!(seqs, (after + 1..=HEAD).collect::<Vec<_>>(), "{text:?}");
        }
        assert!(stream.caught_up(), "{text:?}");
        assert_eq!(stream.cursor().seq, Seq(HEAD));
    }

    fn next(&self, stream: &mut Subscription) -> Delivery {
        self.runtime.block_on(poll_fn(|cx| stream.poll_next(cx)))
    }
}

fn topic() -> TopicName {
    TopicName::new("t").expect("valid")
}
