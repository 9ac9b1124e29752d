//! A provider of language models in OpenAI's form. What it does depends on a word in the request.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

const WORDS: &str = concat!(
    "data: {\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"}}]}\n\n",
    "data: {\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" again.\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
);

const TOOL: &str = concat!(
    "data: {\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"tool_calls\":",
    "[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: [DONE]\n\n",
);

const FAILURE: &str = "data: {\"error\":{\"message\":\"no more\",\"type\":\"server_error\",\"code\":null}}\n\n";

/// Serves for as long as the process lives.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || drop(answer(socket)));
        }
    });
    address
}

fn answer(mut socket: TcpStream) -> std::io::Result<()> {
    let mut request = BufReader::new(socket.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    request.by_ref().take(length).read_to_string(&mut body)?;
    if body.contains("refuse") {
        return write!(
            socket,
            "HTTP/1.1 402 Payment Required\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
    }
    write!(socket, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    if body.contains("hang") {
        socket.write_all(WORDS.split_inclusive("\n\n").next().unwrap_or_default().as_bytes())?;
        // Until the hub leaves.
        return request.read_to_end(&mut Vec::new()).map(drop);
    }
    let text = [("look", TOOL), ("fail", FAILURE)].into_iter().find(|(word, _)| body.contains(word));
    socket.write_all(text.map_or(WORDS, |(_, text)| text).as_bytes())
}
