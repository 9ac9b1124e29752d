//! The floor: the kernel's cost of sending an event to many sockets, and next to nothing else.
//!
//! One thread, one epoll, a list of sockets for each topic. `floor` sends each event to each socket with a `send` of its
//! own; `floor batch` first handles all that is readable, then sends each socket everything that is pending. It knows two
//! requests, keeps nothing and guarantees nothing.

use std::{
    collections::HashMap,
    io::{self, Read},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    net::{SendFlags, send},
};

/// The listener's token; a connection's token is its index in the list.
const LISTENER: u64 = u64::MAX;

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
                      transfer-encoding: chunked\r\n\r\na\r\nretry: 1\n\n\r\n";
const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

struct Connection {
    socket: TcpStream,
    /// Bytes of an incomplete request.
    read: Vec<u8>,
    /// Bytes that the socket had no room for.
    rest: Vec<u8>,
}

#[derive(Default)]
struct Topic {
    streams: Vec<usize>,
    /// Events that are not sent yet, in chunks.
    pending: Vec<u8>,
}

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    topics: HashMap<String, Topic>,
    dirty: Vec<String>,
    seq: u64,
    batch: bool,
    buffer: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // std listens with a queue of 128; a second call lengthens it.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    println!("floor listening on http://{}", listener.local_addr()?);
    let mut floor = Floor {
        epoll,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        topics: HashMap::new(),
        dirty: Vec::new(),
        seq: 0,
        batch: std::env::args().nth(1).is_some_and(|mode| mode == "batch"),
        buffer: vec![0; 64 << 10],
    };
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        epoll::wait(&floor.epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for &Event { data, flags } in &events {
            match data.u64() {
                LISTENER => floor.accept()?,
                token => floor.serve(usize::try_from(token).expect("a place in memory"), flags)?,
            }
        }
        for topic in std::mem::take(&mut floor.dirty) {
            floor.send(&topic)?;
        }
    }
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            // As the hub sets it: otherwise the kernel adjusts the size of the buffer with each send.
            rustix::net::sockopt::set_socket_send_buffer_size(&socket, 256 << 10)?;
            socket.set_nonblocking(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(place as u64), EventFlags::IN)?;
            self.connections[place] = Some(Connection { socket, read: Vec::new(), rest: Vec::new() });
        }
    }

    fn serve(&mut self, place: usize, flags: EventFlags) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else { return Ok(()) };
        if flags.contains(EventFlags::OUT) {
            let rest = std::mem::take(&mut connection.rest);
            connection.give(&self.epoll, place, &rest)?;
            if connection.rest.is_empty() {
                epoll::modify(&self.epoll, &connection.socket, EventData::new_u64(place as u64), EventFlags::IN)?;
            }
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let read = match connection.socket.read(&mut self.buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            _ => {
                self.close(place);
                return Ok(());
            }
        };
        let mut held = std::mem::take(&mut connection.read);
        held.extend_from_slice(&self.buffer[..read]);
        let mut bytes = &held[..];
        while let Some((request, rest)) = Request::read(bytes) {
            bytes = rest;
            self.answer(place, &request)?;
        }
        if let Some(connection) = &mut self.connections[place] {
            connection.read = bytes.to_vec();
        }
        Ok(())
    }

    fn answer(&mut self, place: usize, request: &Request<'_>) -> io::Result<()> {
        if request.publishes {
            self.seq += 1;
            let topic = self.topics.entry(request.topic.to_owned()).or_default();
            let head = format!("id: flor-{}\ndata: ", self.seq);
            let size = format!("{:x}\r\n", head.len() + request.body.len() + 2);
            for piece in [size.as_bytes(), head.as_bytes(), request.body, b"\n\n\r\n"] {
                topic.pending.extend_from_slice(piece);
            }
            if self.batch {
                if !self.dirty.iter().any(|dirty| dirty == request.topic) {
                    self.dirty.push(request.topic.to_owned());
                }
            } else {
                self.send(request.topic)?;
            }
        } else {
            self.topics.entry(request.topic.to_owned()).or_default().streams.push(place);
        }
        let answer = if request.publishes { DONE } else { STREAM };
        let connection = self.connections[place].as_mut().expect("it asked");
        connection.give(&self.epoll, place, answer.as_bytes())
    }

    fn send(&mut self, topic: &str) -> io::Result<()> {
        let topic = self.topics.get_mut(topic).expect("it is dirty");
        for &place in &topic.streams {
            if let Some(connection) = &mut self.connections[place] {
                connection.give(&self.epoll, place, &topic.pending)?;
            }
        }
        topic.pending.clear();
        Ok(())
    }

    fn close(&mut self, place: usize) {
        for topic in self.topics.values_mut() {
            topic.streams.retain(|stream| *stream != place);
        }
        self.connections[place] = None;
        self.free.push(place);
    }
}

impl Connection {
    fn give(&mut self, epoll: &OwnedFd, place: usize, bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = match send(self.socket.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(rustix::io::Errno::AGAIN) => 0,
            // Its end is read when the connection is handled.
            Err(_) => return Ok(()),
        };
        if sent < bytes.len() {
            self.rest.extend_from_slice(&bytes[sent..]);
            let both = EventFlags::IN | EventFlags::OUT;
            epoll::modify(epoll, &self.socket, EventData::new_u64(place as u64), both)?;
        }
        Ok(())
    }
}

struct Request<'a> {
    publishes: bool,
    topic: &'a str,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first complete request in `bytes`, and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let publishes = head.starts_with("POST");
        let topic = head.split_once("topic=").map_or("", |(_, rest)| rest.split(['&', ' ']).next().unwrap_or(""));
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok()).unwrap_or(0);
        let body = bytes.get(end..end + length)?;
        Some((Self { publishes, topic, body }, &bytes[end + length..]))
    }
}
