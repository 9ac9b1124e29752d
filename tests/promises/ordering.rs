//! Every stream receives every event once, in id order, however many publishers there are.

use std::{collections::BTreeMap, thread};

use super::support::hub::Hub;

const WRITERS: usize = 6;
const EACH: usize = 50;

fn seq(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn many_publishers_make_one_order_that_every_stream_sees() {
    let hub = Hub::start();
    let mut live = [hub.watch("topic=a/**"), hub.watch("topic=a/*&topic=a/0"), hub.watch("topic=a/*")];
    let receipts: BTreeMap<u64, String> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let hub = &hub;
                scope.spawn(move || {
                    let publish = |n: usize| {
                        let data = format!("{writer}.{n}");
                        (seq(&hub.publish(&format!("a/{}", n % 3), &data)), data)
                    };
                    let receipts: Vec<_> = (0..EACH).map(publish).collect();
                    assert!(receipts.windows(2).all(|pair| pair[0].0 < pair[1].0));
                    receipts
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(receipts.len(), WRITERS * EACH, "no id twice");
    let want: Vec<(u64, String)> = receipts.into_iter().collect();
    let mut late = hub.watch("topic=a/*&from=earliest");
    for stream in live.iter_mut().chain([&mut late]) {
        let got: Vec<_> = (0..want.len())
            .map(|_| {
                let message = stream.next().unwrap();
                (seq(message.id.as_deref().unwrap()), message.data)
            })
            .collect();
        assert_eq!(got, want);
    }
}

#[test]
fn what_is_published_while_a_stream_begins_is_seen_once() {
    let hub = Hub::start();
    for n in 0..100 {
        hub.publish("t", &n.to_string());
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 100..300 {
                hub.publish("t", &n.to_string());
            }
        });
        let want: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        for _ in 0..10 {
            assert_eq!(hub.watch("topic=t&from=earliest").data(300), want);
        }
    });
}

#[test]
fn an_event_is_seen_before_its_receipt_could_be_used() {
    let hub = Hub::start();
    for n in 0..50 {
        let id = hub.publish("t", &n.to_string());
        let page = hub.page("topic=t&from=earliest&limit=1000");
        assert_eq!(page["events"].as_array().unwrap().last().unwrap()["id"], *id);
        assert_eq!(hub.topic("t")["last_id"], *id);
    }
}
