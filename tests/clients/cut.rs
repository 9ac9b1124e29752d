//! A connection that breaks in the middle of an event.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    story::{Client, HUB, each, ends, messages, none_but},
    support::hub::Hub,
};

/// Forwards connections to the hub; when told to, cuts each open one after its next bytes, once.
struct CuttingProxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

/// Bytes of an event's data: several reads of any client.
const DATA: usize = 60_000;

impl CuttingProxy {
    fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(hub) else { continue };
                let (mut up, mut down) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
                thread::spawn(move || std::io::copy(&mut up.0, &mut up.1));
                let cut = Arc::clone(&told);
                thread::spawn(move || pass(&mut down.0, &mut down.1, &cut));
            }
        });
        Self { address, cut }
    }
}

/// Forwards the hub's bytes; when it is to be cut, half of the next event, and then ends.
fn pass(hub: &mut TcpStream, client: &mut TcpStream, cut: &AtomicBool) {
    let (old, mut bytes, mut passed) = (cut.load(Ordering::SeqCst), vec![0; 4096], 0);
    while let Ok(count @ 1..) = hub.read(&mut bytes) {
        if client.write_all(&bytes[..count]).is_err() {
            break;
        }
        if !old && cut.load(Ordering::SeqCst) {
            passed += count;
            if passed > DATA / 2 {
                break;
            }
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = hub.shutdown(std::net::Shutdown::Both);
}

/// Each client's connection breaks in the middle of an event; it receives the whole event, once.
pub(crate) fn tell(connect: impl FnOnce(&str) -> Vec<Client>) {
    let hub = Hub::start_with(&HUB);
    hub.publish("story", "before");
    let wire = CuttingProxy::to(hub.address);
    let mut clients = connect(&format!("http://{}/events?topic=story&from=earliest", wire.address));
    each(&mut clients, "the client is there", |client| messages(&client.heard()).len() == 1);
    wire.cut.store(true, Ordering::SeqCst);
    let large = "x".repeat(DATA);
    hub.publish("story", &large);
    each(&mut clients, "the client goes on", |client| messages(&client.heard()).len() > 1 || client.stopped());
    ends(&hub, &mut clients);
    none_but(&mut clients, "each hears the event that was cut, whole and once", |account| {
        // One dispatches the incomplete event, too, without the id: it reconnects for the whole.
        let half = |data: &&str| account.name != "r3labs/sse" || !(large.starts_with(data) && data.len() < DATA);
        account.data().filter(half).eq(["before", &large, "the end"])
    });
}
