//! What the mock answers to one request, byte by byte.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tokio::sync::watch;

/// The answer to one request: steps in their order, then its ending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
}

/// One step of an answer.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The response head, as it goes onto the socket, and how the body after it is framed.
    Head(Vec<u8>, BodyFraming),
    /// Bytes of the body: one write, and one chunk where the body is chunked.
    Body(Vec<u8>),
    /// Bytes as they are, without the body's framing.
    Bytes(Vec<u8>),
    /// A pause.
    Pause(Duration),
    /// A wait until the test opens the gate.
    Gate(Gate),
}

/// How a body ends for its reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Chunked,
    /// It is as long as its head says, or has no body: nothing is added. So also without a head.
    #[default]
    Length,
    UntilClose,
}

/// What happens after the last step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// The body's own end; the connection is kept where the framing allows it.
    #[default]
    Complete,
    /// The socket is closed where it is, with a FIN.
    Cut,
    /// The socket is closed with a RST.
    Reset,
    /// Nothing is sent until the other side closes.
    Silence,
}

impl Script {
    /// An answer without a head, for scripts that write every byte themselves.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A head for a chunked body.
    pub(crate) fn chunked(status: u16, headers: &[(&str, &str)]) -> Self {
        let framing = [("transfer-encoding", "chunked")];
        Self::new().head(status, &[headers, &framing].concat(), BodyFraming::Chunked)
    }

    /// A head for a body that ends with the connection.
    pub(crate) fn until_close(status: u16, headers: &[(&str, &str)]) -> Self {
        let framing = [("connection", "close")];
        Self::new().head(status, &[headers, &framing].concat(), BodyFraming::UntilClose)
    }

    /// A whole answer with its length.
    pub(crate) fn whole(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let length = body.len().to_string();
        let framing = [("content-length", length.as_str())];
        Self::new().head(status, &[headers, &framing].concat(), BodyFraming::Length).send(body)
    }

    /// A head alone, for 204.
    pub(crate) fn head_alone(status: u16) -> Self {
        Self::new().head(status, &[], BodyFraming::Length)
    }

    /// A whole answer of JSON.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::whole(status, &[("content-type", "application/json")], body.as_bytes())
    }

    /// A head, written as given: names keep their case, and nothing is added.
    fn head(mut self, status: u16, headers: &[(&str, &str)], framing: BodyFraming) -> Self {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("memory");
        }
        head.push_str("\r\n");
        self.steps.push(Step::Head(head.into_bytes(), framing));
        self
    }

    /// Sends these bytes of the body in one write.
    pub(crate) fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Body(bytes.as_ref().to_vec()));
        self
    }

    /// Sends these pieces of the body, each in a write of its own.
    pub(crate) fn send_each<P: AsRef<[u8]>>(self, pieces: impl IntoIterator<Item = P>) -> Self {
        pieces.into_iter().fold(self, Self::send)
    }

    /// Sends these bytes without the body's framing.
    pub(crate) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Bytes(bytes.as_ref().to_vec()));
        self
    }

    /// Pauses.
    pub(crate) fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Waits until `gate` is open.
    pub(crate) fn wait_for(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Gate(gate.clone()));
        self
    }

    /// Goes on with another script.
    pub(crate) fn then(mut self, script: Self) -> Self {
        self.steps.extend(script.steps);
        self.ending = script.ending;
        self
    }

    /// Closes the socket without the body's end.
    pub(crate) fn cut(mut self) -> Self {
        self.ending = Ending::Cut;
        self
    }

    /// Resets the connection.
    pub(crate) fn reset(mut self) -> Self {
        self.ending = Ending::Reset;
        self
    }

    /// Sends nothing more until the other side closes.
    pub(crate) fn silence(mut self) -> Self {
        self.ending = Ending::Silence;
        self
    }
}

/// A gate at which scripts wait; clones are the same gate. It stays open.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it for all who wait and will wait.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        let mut opened = self.0.subscribe();
        let _ = opened.wait_for(|&open| open).await;
    }
}
