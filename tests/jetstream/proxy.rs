//! A proxy before a hub that changes what the hub sends: no fault that a hub has to survive, but one that the checker must find.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener as Listener},
    rc::Rc,
    thread,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

/// What it does to the events that it chooses. The number of bytes stays, so that the framing of HTTP does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Sends a comment in its place.
    Drop,
    /// Sends an earlier event of the same length in its place.
    Repeat,
    /// Changes a byte of its data.
    Change,
}

/// Only every so many events: more would hide one violation behind another.
const EVERY: usize = 997;

/// A proxy before `hub`, on a thread of its own, until the process ends. Returns its address.
pub(crate) fn start(hub: SocketAddr, mischief: Mischief) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let run = async {
            let listener = TcpListener::from_std(listener).expect("a socket");
            let events = Rc::new(RefCell::new(Events::default()));
            while let Ok((client, _)) = listener.accept().await {
                tokio::task::spawn_local(pass(client, hub, mischief, Rc::clone(&events)));
            }
        };
        LocalSet::new().block_on(&runtime, run);
    });
    address
}

#[derive(Default)]
struct Events {
    count: usize,
    /// The newest of each length that went by unchanged.
    by_length: HashMap<usize, Vec<u8>>,
}

async fn pass(
    mut client: TcpStream,
    hub: SocketAddr,
    mischief: Mischief,
    events: Rc<RefCell<Events>>,
) -> io::Result<()> {
    let mut hub = TcpStream::connect(hub).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_hub, mut to_hub) = hub.split();
    let up = async {
        let copied = tokio::io::copy(&mut from_client, &mut to_hub).await;
        copied.and(to_hub.shutdown().await)
    };
    let down = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let read = from_hub.read(&mut bytes).await?;
            if read == 0 {
                return to_client.shutdown().await;
            }
            events.borrow_mut().change(&mut bytes[..read], mischief);
            to_client.write_all(&bytes[..read]).await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
}

impl Events {
    /// Changes every so many of the events that are whole within `bytes`.
    fn change(&mut self, bytes: &mut [u8], mischief: Mischief) {
        let mut begin = 0;
        while let Some(length) = bytes[begin..].windows(2).position(|window| window == b"\n\n") {
            let end = begin + length + 2;
            // After the framing of a chunk.
            let framing = bytes[begin..end].windows(2).rposition(|window| window == b"\r\n");
            let event = &mut bytes[begin + framing.map_or(0, |at| at + 2)..end];
            begin = end;
            if event.starts_with(b"data: ") {
                self.event(event, mischief);
            }
        }
    }

    fn event(&mut self, event: &mut [u8], mischief: Mischief) {
        self.count += 1;
        if self.count < EVERY {
            self.by_length.insert(event.len(), event.to_vec());
            return;
        }
        match mischief {
            Mischief::Drop => {
                event.fill(b':');
                event[event.len() - 1] = b'\n';
            }
            Mischief::Change => event[8] ^= 1,
            Mischief::Repeat => match self.by_length.get(&event.len()) {
                Some(other) => event.copy_from_slice(other),
                None => return,
            },
        }
        self.count = 0;
    }
}
