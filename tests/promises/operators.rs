//! The operators' address (`admin.listen`): stats and metrics are served there only, and nothing else is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::support::{
    assert_problem,
    hub::Hub,
    tokens,
    wire::{self, Answer},
};

const FIGURES: [&str; 4] = ["/admin/stats", "/admin/history", "/admin/streams", "/metrics"];
const OPERATOR: [(&str, &str); 1] = [("authorization", "Bearer operator-token")];

/// A hub with tokens, and with an address for operators at `ip`.
fn apart(ip: IpAddr, more: &[&str]) -> (Hub, SocketAddr) {
    let operators = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
    let tokens = tokens(&[("operator", "admin = true"), ("reader", "subscribe = [\"**\"]")]);
    let (listen, mut arguments) = (operators.to_string(), vec!["--access-tokens", &tokens, "--admin-listen"]);
    arguments.push(&listen);
    arguments.extend(more);
    (Hub::start_with(&arguments), operators)
}

fn ask(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    wire::request(address, "GET", target, headers, b"")
}

fn ask_by_name(address: SocketAddr, target: &str, host: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    String::from_utf8(wire::drained(&wire::send(address, request.as_bytes()))).unwrap()
}

#[test]
fn on_the_loopback_the_figures_need_no_token_and_are_nowhere_else() {
    let (hub, operators) = apart(Ipv4Addr::LOCALHOST.into(), &[]);
    for target in FIGURES {
        assert_eq!(ask(operators, target, &[]).status, 200, "{target}");
        assert_problem(&ask(hub.address, target, &OPERATOR), 404, "not-found");
    }
    for target in ["/", "/publish?topic=t", "/events?topic=t", "/topics", "/topics/t"] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = wire::request(operators, method, target, &OPERATOR, b"");
            assert_problem(&answer, 404, "not-found");
        }
    }
    for address in [operators, hub.address] {
        assert_eq!(ask(address, "/healthz", &[]).status, 200);
        assert_eq!(ask(address, "/openapi.json", &[]).status, 200);
    }
}

#[test]
fn the_operators_address_answers_to_the_loopbacks_names_only() {
    let (_hub, operators) = apart(Ipv4Addr::LOCALHOST.into(), &[]);
    assert!(ask_by_name(operators, "/metrics", "localhost").starts_with("HTTP/1.1 200"));
    for target in FIGURES {
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1"] {
            let answer = ask_by_name(operators, target, host);
            assert!(answer.starts_with("HTTP/1.1 421"), "{target} {host}: {answer}");
        }
    }
}

#[test]
fn no_page_of_another_site_reads_the_figures_that_need_no_token() {
    for origins in ["*", "https://app.example"] {
        let (hub, operators) = apart(Ipv4Addr::LOCALHOST.into(), &["--cors-origins", origins]);
        let page = [("origin", "https://app.example")];
        assert!(ask(hub.address, "/healthz", &page).headers.get("access-control-allow-origin").is_some());
        for target in FIGURES {
            let answer = ask(operators, target, &page);
            assert_eq!(answer.headers.get("access-control-allow-origin"), None, "{origins} {target}");
            let preflight = [page[0], ("access-control-request-method", "GET")];
            assert_eq!(wire::request(operators, "OPTIONS", target, &preflight, b"").status, 403, "{origins} {target}");
        }
    }
}

/// A non-loopback address of this machine; nothing is sent to find it.
fn beyond_loopback() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn beyond_the_loopback_the_figures_need_the_grant() {
    let (code, told) = Hub::refused(&["--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"]);
    assert!(code == Some(78) && told.contains("admin.listen"), "without credentials: {code:?} {told}");
    let Some(ip) = beyond_loopback() else {
        eprintln!("this machine has no address but the loopback's, so that the rest was not tried");
        return;
    };
    let (_hub, operators) = apart(ip, &[]);
    for target in FIGURES {
        assert_problem(&ask(operators, target, &[]), 401, "unauthorized");
        assert_problem(&ask(operators, target, &[("authorization", "Bearer reader-token")]), 403, "forbidden");
        assert_eq!(ask(operators, target, &OPERATOR).status, 200, "{target}");
    }
    assert!(ask_by_name(operators, "/metrics", "localhost").starts_with("HTTP/1.1 401"), "a name is no credential");
}
