//! A client's connection, which reads the tokens of responses.

use std::{cell::RefCell, net::SocketAddr};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::token::{Token, TokenScanner, clock};

thread_local! {
    /// What is read into: no connection holds it while it waits.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

/// A persistent connection.
pub(crate) struct Connection {
    socket: TcpStream,
    scanner: TokenScanner,
    /// What came with the head of a response.
    early: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, String> {
        let socket = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { socket, scanner: TokenScanner::default(), early: Vec::new() })
    }

    /// Sends a request and returns the head of its response, which must be a success.
    pub(crate) async fn ask(&mut self, request: &str) -> Result<String, String> {
        self.socket.write_all(request.as_bytes()).await.map_err(|error| format!("cannot ask: {error}"))?;
        let mut seen = Vec::new();
        loop {
            let read = self.socket.read_buf(&mut seen).await.map_err(|error| format!("no answer: {error}"))?;
            if let Some(end) = memmem::find(&seen, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&seen[..end]).into_owned();
                // What was not read of the response before, which is none of the tokens.
                let head = head.rfind("HTTP/1.1 ").map_or(head.clone(), |at| head[at..].to_owned());
                self.early = seen.split_off(end + 4);
                return if head.starts_with("HTTP/1.1 2") { Ok(head) } else { Err(format!("refused: {head}")) };
            }
            if read == 0 {
                return Err("hung up without an answer".into());
            }
        }
    }

    /// Waits for bytes and passes the tokens in them to `each`, with the time. Returns whether the response goes on.
    pub(crate) async fn tokens(&mut self, mut each: impl FnMut(Token, u64)) -> Result<bool, String> {
        if !self.early.is_empty() {
            let (early, now) = (std::mem::take(&mut self.early), clock());
            return Ok(!self.scanner.scan(&early, |token| each(token, now)));
        }
        loop {
            self.socket.readable().await.map_err(|error| error.to_string())?;
            let scanner = &mut self.scanner;
            let read = BUFFER.with_borrow_mut(|buffer| {
                let read = self.socket.try_read(buffer)?;
                let now = clock();
                Ok((read, scanner.scan(&buffer[..read], |token| each(token, now))))
            });
            match read {
                Ok((0, _)) => return Err("hung up within an answer".into()),
                Ok((_, ended)) => return Ok(!ended),
                Err(error) if std::io::Error::kind(&error) == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("the answer breaks off: {error}")),
            }
        }
    }

    /// Sends a request with `connection: close`, and returns its response's body as JSON.
    pub(crate) async fn json(address: SocketAddr, request: &str) -> Result<serde_json::Value, String> {
        let mut socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        socket.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut seen = Vec::new();
        socket.read_to_end(&mut seen).await.map_err(|error| error.to_string())?;
        let body = memmem::find(&seen, b"\r\n\r\n").map_or(&[][..], |end| &seen[end..]);
        serde_json::from_slice(body).map_err(|_| format!("no JSON: {}", String::from_utf8_lossy(&seen)))
    }
}

/// A request's text.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}
