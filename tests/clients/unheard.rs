//! Clients that begin at "now" and have received nothing when their hub is killed.

use std::{thread, time::Duration};

use crate::{
    scripts::TAIL,
    story::{Client, HUB, each, ends, messages, none_but},
    support::hub::Hub,
};

/// Clients begin at "now", and nothing is published; the hub is killed, and an event is published before they reconnect.
/// Silence, names, a long line and a gap follow.
pub(crate) fn tell(connect: impl FnOnce(&str) -> Vec<Client>) {
    let mut hub = Hub::start_with(&[&HUB[..], &["--stream-keepalive", "1s"]].concat());
    let before = hub.publish("story", "before anyone came");
    let mut clients = connect(&format!("http://{}/events?topic=story", hub.address));
    hub.wait_for_streams("story", clients.len() as u64);
    hub = away(hub, |hub| drop(hub.publish("story", "while they were away")));
    each(&mut clients, "what was published before the client was back is heard", |client| {
        !messages(&client.heard()).is_empty()
    });

    // Silence: two keepalives and more.
    thread::sleep(Duration::from_millis(2500));
    hub.publish("story&event=step", "with a name");
    hub.publish("story", &"long ".repeat(20_000));
    hub.publish("story", "two\nlines");
    each(&mut clients, "a name and a long line are heard", |client| {
        let heard = client.heard();
        messages(&heard).len() == 3 && heard.iter().any(|heard| heard.event == "step")
    });

    hub = away(hub, |hub| {
        for word in ["trimmed 1", "trimmed 2", "kept"] {
            hub.publish("story", word);
        }
        hub.trim("story", 1);
    });
    each(&mut clients, "what is kept is heard", |client| {
        messages(&client.heard()).last().is_some_and(|last| last.data == "kept")
    });
    none_but(&mut clients, "each is told one gap, before what comes after it", |account| {
        let events: Vec<_> = account.heard.iter().filter(|heard| heard.event != "hub.cursor").collect();
        let [.., gap, _] = &events[..] else { return false };
        let told = gap.event == "hub.gap" && gap.data.contains("\"reason\":\"trimmed\"");
        (told && account.count("hub.gap") == 1) || account.name == TAIL
    });

    ends(&hub, &mut clients);
    let long = "long ".repeat(20_000);
    let want = ["while they were away", &long, "two\nlines", "kept", "the end"];
    none_but(&mut clients, "each hears what was published since, once and in order", |account| account.data().eq(want));
    none_but(&mut clients, "each is told where it starts, and that is no message", |account| {
        account.heard[0].event == "hub.cursor" || account.name == TAIL
    });
    none_but(&mut clients, "what carries no data is handed to nobody", |account| {
        account.heard.iter().all(|heard| !heard.data.is_empty())
    });
    none_but(&mut clients, "ids are handed on", |account| {
        messages(&account.heard).iter().all(|heard| heard.id.starts_with(before.split('-').next().unwrap()))
    });
}

/// Kills the hub, runs it at another address for `act`, and restarts it at the clients' address.
fn away(mut hub: Hub, act: impl FnOnce(&Hub)) -> Hub {
    hub.kill();
    let mut elsewhere = hub.again_at("127.0.0.1:0");
    act(&elsewhere);
    elsewhere.kill();
    hub.again()
}
