//! The requests for a stream: by the protocol of Durable Streams, or by the hub's own.

use serde::Deserialize;

use crate::{
    connection::{Connection, Head, request},
    content::{Body, Content, Shape, Verifier},
    servers::Kind,
    sse::SseData,
};

/// Events of a page of the hub's own protocol: the most that it gives.
const PAGE: usize = 1000;

/// A stream at a server.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    name: String,
    is_native: bool,
    pub(crate) content: Content,
}

/// The repeated request of a writer.
pub(crate) struct Append {
    request: Vec<u8>,
    body: Body,
    /// Appends that were made.
    pub(crate) made: u64,
}

/// How a reader waits for what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    Sse,
    LongPoll,
}

/// A page of the hub's own protocol.
#[derive(Deserialize)]
struct NativePage {
    events: Vec<NativeEvent>,
    next: String,
}

#[derive(Deserialize)]
struct NativeEvent {
    data: String,
}

impl Stream {
    pub(crate) fn new(kind: Kind, name: impl Into<String>, content: &Content) -> Self {
        Self { name: name.into(), is_native: kind == Kind::Native, content: content.clone() }
    }

    fn path(&self) -> String {
        format!("/v1/stream/{}", self.name)
    }

    /// Creates it. The hub's own protocol has no request for that.
    pub(crate) async fn create(&self, connection: &mut Connection) -> Result<(), String> {
        if self.is_native {
            return Ok(());
        }
        let headers = format!("content-type: {}\r\n", self.content.content_type());
        connection.ask_well(&request("PUT", &self.path(), &headers, b"")).await?;
        connection.body().await.map(drop)
    }

    /// The request that appends to it.
    pub(crate) fn append(&self) -> Append {
        let Self { name, content, is_native } = self;
        let envelope = [format!("{{\"topic\":\"{name}\",\"data\":"), "}".to_owned()];
        let (target, around) = match (is_native, content.shape) {
            (false, _) => (self.path(), ["", ""]),
            (true, Shape::Text) => (format!("/publish?topic={name}"), ["", ""]),
            (true, Shape::Arrays) => ("/publish".into(), [&*envelope[0], &*envelope[1]]),
        };
        let body = content.body(around);
        let headers = format!("content-type: {}\r\n", content.content_type());
        Append { request: request("POST", &target, &headers, &body.bytes), body, made: 0 }
    }

    /// Reads it from the beginning, until `messages` have come, and compares them.
    pub(crate) async fn catch_up(&self, connection: &mut Connection, messages: u64) -> Result<(), String> {
        let mut verifier = self.content.verifier();
        if self.is_native {
            self.replay(connection, &mut verifier, messages).await?;
        } else {
            let mut offset = "-1".to_owned();
            loop {
                let head = connection.ask_well(&self.read(&offset, None)).await?;
                let mut begins = true;
                while connection.more(|bytes| verifier.take_body(bytes, std::mem::take(&mut begins))).await? {}
                offset = next_offset(&head)?;
                if head.is_up_to_date() {
                    break;
                }
            }
        }
        let read = verifier.number;
        if read == messages { Ok(()) } else { Err(format!("{read} of {messages} messages are there")) }
    }

    /// The same by the hub's own protocol: an event stream, which has no end.
    async fn replay(&self, connection: &mut Connection, verifier: &mut Verifier, messages: u64) -> Result<(), String> {
        self.follow(connection).await?;
        let mut data = SseData::default();
        while verifier.number < messages {
            if !connection.more(|bytes| data.take(bytes, |data| verifier.take(data, |_| {}))).await? {
                return Err("the stream ends".into());
            }
        }
        Ok(())
    }

    /// Asks for its events from the beginning on.
    pub(crate) async fn follow(&self, connection: &mut Connection) -> Result<(), String> {
        let asked = if self.is_native {
            let target = format!("/events?topic={}&from=earliest", self.name);
            request("GET", &target, "accept: text/event-stream\r\n", b"")
        } else {
            self.read("-1", Some(Live::Sse))
        };
        connection.ask_well(&asked).await.map(drop)
    }

    /// Waits for what comes after `offset`, which then is that after it.
    pub(crate) async fn poll(
        &self,
        connection: &mut Connection,
        offset: &mut String,
        verifier: &mut Verifier,
        mut each: impl FnMut(u64),
    ) -> Result<(), String> {
        if !self.is_native {
            let head = connection.ask_well(&self.read(offset, Some(Live::LongPoll))).await?;
            while connection.more(|bytes| verifier.take(bytes, &mut each)).await? {}
            *offset = next_offset(&head)?;
            return Ok(());
        }
        let from = if offset == "-1" { "from=earliest".to_owned() } else { format!("last_event_id={offset}") };
        let target = format!("/events?topic={}&{from}&limit={PAGE}&wait=30s", self.name);
        connection.ask_well(&request("GET", &target, "accept: application/json\r\n", b"")).await?;
        let body = connection.body().await?;
        let page: NativePage = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        for event in &page.events {
            verifier.take(event.data.as_bytes(), &mut each)?;
        }
        *offset = page.next;
        Ok(())
    }

    fn read(&self, offset: &str, live: Option<Live>) -> Vec<u8> {
        let live = match live {
            None => "",
            Some(Live::Sse) => "&live=sse",
            Some(Live::LongPoll) => "&live=long-poll",
        };
        request("GET", &format!("{}?offset={offset}{live}", self.path()), "", b"")
    }
}

fn next_offset(head: &Head) -> Result<String, String> {
    head.header("stream-next-offset").map(str::to_owned).ok_or_else(|| "a response has no Stream-Next-Offset".into())
}

impl Append {
    /// Appends, and returns when that was acknowledged.
    pub(crate) async fn send(&mut self, connection: &mut Connection) -> Result<(), String> {
        self.body.number(&mut self.request, self.made);
        connection.ask_well(&self.request).await?;
        while connection.more(|_| Ok(())).await? {}
        self.made += 1;
        Ok(())
    }
}
