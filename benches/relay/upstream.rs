//! The provider: a server of OpenAI's chat completions in this process, that sends tokens at the pace that the prompt asks
//! for and stamps each with the time at which it is sent.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc, time::Duration};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{spawn_local, yield_now},
    time::{Instant, sleep_until},
};

use crate::token::{Token, clock};

/// Connections that wait for acceptance: all runs may begin at once.
const BACKLOG: u32 = 4096;

/// What a prompt asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Time from the head of the response to the first token.
    pub(crate) after: Duration,
    pub(crate) tokens: u64,
    /// Time between tokens; zero sends each as soon as the one before it is written.
    pub(crate) apart: Duration,
}

/// The running provider.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Requests so far.
    pub(crate) requests: Rc<Cell<u64>>,
}

impl Plan {
    /// The request's body.
    pub(crate) fn body(self) -> String {
        let prompt = format!("plan {} {} {} .", self.after.as_micros(), self.tokens, self.apart.as_micros());
        serde_json::json!({
            "model": "gpt-4o-mini", "stream": true, "messages": [{ "role": "user", "content": prompt }]
        })
        .to_string()
    }

    fn of(request: &[u8]) -> Option<Self> {
        let at = memmem::find(request, b"plan ")?;
        let mut numbers = request[at..].split(|&byte| byte == b' ').skip(1).map(|number| {
            let number = std::str::from_utf8(number).ok()?;
            number.parse::<u64>().ok()
        });
        let mut next = || numbers.next().flatten();
        let (after, tokens, apart) = (next()?, next()?, next()?);
        Some(Self { after: Duration::from_micros(after), tokens, apart: Duration::from_micros(apart) })
    }
}

impl Upstream {
    /// Starts it on a task of this thread.
    pub(crate) fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(BACKLOG).expect("a bound socket");
        let (address, requests) = (listener.local_addr().expect("bound"), Rc::<Cell<u64>>::default());
        spawn_local(accept(listener, Rc::clone(&requests)));
        Self { address, requests }
    }
}

async fn accept(listener: TcpListener, requests: Rc<Cell<u64>>) {
    loop {
        let (socket, _) = listener.accept().await.expect("descriptors were reserved");
        let requests = Rc::clone(&requests);
        spawn_local(async move {
            // A client that has enough hangs up.
            drop(serve(socket, &requests).await);
        });
    }
}

async fn serve(mut socket: TcpStream, requests: &Cell<u64>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    while let Some(plan) = read_request(&mut socket).await? {
        requests.set(requests.get() + 1);
        socket.write_all(HEAD).await?;
        let begun = Instant::now() + plan.after;
        for number in 0..plan.tokens {
            let due = begun + plan.apart * u32::try_from(number).expect("runs are short");
            // A timer takes a millisecond at least.
            if due > Instant::now() {
                sleep_until(due).await;
            } else {
                yield_now().await;
            }
            let event = format!("data: {}\n\n", Token { number, sent: clock() }.json());
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            socket.write_all(chunk.as_bytes()).await?;
        }
        let chunk = format!("{:x}\r\n{END}\r\n0\r\n\r\n", END.len());
        socket.write_all(chunk.as_bytes()).await?;
    }
    Ok(())
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

const END: &str = concat!(
    r#"data: {"id":"chatcmpl-CeVtDx7iR2bq0mYkP4nS8wGfLh1Ja","object":"chat.completion.chunk","created":1764180000,"#,
    r#""model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n"
);

/// Reads a request; `None` at the connection's end.
async fn read_request(socket: &mut TcpStream) -> io::Result<Option<Plan>> {
    let mut seen = Vec::with_capacity(1024);
    loop {
        if socket.read_buf(&mut seen).await? == 0 {
            return Ok(None);
        }
        let Some(head) = memmem::find(&seen, b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase();
        let length = text.split_once("content-length:").and_then(|(_, rest)| rest.lines().next());
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
        if seen.len() >= head + 4 + length {
            let plan = Plan::of(&seen[head..]);
            return plan.map(Some).ok_or_else(|| io::Error::other("a prompt without a plan"));
        }
    }
}
