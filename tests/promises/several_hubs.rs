//! Several hubs over one log are one to their clients.

use serde_json::json;

use super::support::{hub::Hub, needs, wire};

#[test]
fn a_cursor_of_one_hub_is_known_to_every_other() {
    needs!(ManyHubs);
    let first = Hub::start();
    first.publish("t", "1");
    let second = first.again_at("127.0.0.1:0");
    for n in 0..3 {
        // A record of the hub's own after the event.
        first.put("t", &format!("{{\"retention\":{{\"max_events\":{}}}}}", 10 + n));
        let third = first.again_at("127.0.0.1:0");
        let hubs = [&first, &second, &third];
        for from in hubs {
            let mut stream = from.watch("topic=t&from=now");
            let cursor = stream.next_of_all().expect("a cursor").id.expect("an id");
            let next = from.page("topic=t&from=earliest")["next"].as_str().expect("an id").to_owned();
            for to in hubs {
                for cursor in [&cursor, &next] {
                    let headers = [("accept", "application/json")];
                    let target = format!("/events?topic=t&last_event_id={cursor}");
                    let answer = wire::request(to.address, "GET", &target, &headers, b"");
                    assert_eq!(answer.status, 200, "{cursor}: {}", answer.text());
                    assert_eq!(answer.json()["gaps"], json!([]), "{cursor}");
                }
            }
        }
    }
    second.publish("t", "2");
    let third = first.again_at("127.0.0.1:0");
    for hub in [&first, &second, &third] {
        assert_eq!(hub.watch("topic=t&from=earliest").data(2), ["1", "2"]);
    }
}
