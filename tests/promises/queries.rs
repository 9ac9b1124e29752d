//! Every route refuses query keys that can only be mistakes.

use super::support::{assert_problem, hub::Hub};

#[test]
fn every_route_refuses_a_key_that_can_only_be_a_mistake() {
    let hub = Hub::start();
    let id = hub.publish("t", "x");
    let removal = format!("/events/{id}?topic=t");
    for (method, target, body) in [
        ("POST", "/publish?topic=t&Event=e", "x"),
        ("POST", "/publish?topic=t&topics=u", "x"),
        ("POST", "/publish?topic=t&data=x", ""),
        ("POST", "/publish?topic=t&Idempotency-Key=k", "x"),
        ("POST", "/publish?topic=t&access-token=a", "x"),
        ("POST", "/publish?Close=true", r#"{"topic":"t","data":"x"}"#),
        ("GET", "/events?topic=t&Topic=u", ""),
        ("HEAD", "/events?topic=t&From=earliest", ""),
        ("POST", "/events?from=earliest", r#"{"topics":["t"]}"#),
        ("POST", "/events?topic=u", r#"{"topics":["t"]}"#),
        ("POST", "/events?lastEventId=a-1", r#"{"topics":["t"]}"#),
        ("GET", "/topics?Prefix=u", ""),
        ("GET", "/topics?cursor=u", ""),
        ("GET", "/whoami?access-token=a", ""),
        ("PUT", "/topics/t?max_events=1", ""),
        ("PUT", "/topics/t?closed=true", ""),
        ("DELETE", "/topics/t?event=1", ""),
        ("GET", "/topics/t?accessToken=a", ""),
        ("DELETE", &format!("{removal}&Topic=u"), ""),
    ] {
        let answer = hub.request(method, target, body.as_bytes());
        if method == "HEAD" {
            assert_eq!(answer.status, 400, "{method} {target}");
            continue;
        }
        let problem = assert_problem(&answer, 400, "query-invalid");
        assert!(problem["detail"].as_str().unwrap().contains("; use "), "{method} {target}: {problem}");
    }
    assert_eq!(hub.kept("t"), ["x"], "nothing was done");
    assert_eq!(hub.topic("t")["closed"], false);
    for (method, target, status) in [
        ("POST", "/publish?topic=t&_=17&utm_source=x", 200),
        ("GET", "/topics?_=17&t=1", 200),
        ("GET", "/topics/t?_=17", 200),
        ("PUT", "/topics/t?_=17", 200),
        ("DELETE", &format!("{removal}&_=17"), 204),
        ("DELETE", "/topics/t?v=2", 204),
    ] {
        assert_eq!(hub.request(method, target, b"").status, status, "what others add is ignored: {method} {target}");
    }
}
