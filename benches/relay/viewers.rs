//! One run and many viewers, and the same number of subscribers of a topic that is published to.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tokio::{
    task::{JoinSet, spawn_local},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    connection::{Connection, request},
    load::{Times, times},
    servers::Server,
    token::{Token, clock},
    upstream::{Plan, Upstream},
};

/// Tokens whose times do not count: the first ones meet streams that are still opening.
const FIRST: u64 = 10;

/// What the viewers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// A topic to which the same events are published: no run.
    Topic,
    /// `/events?topic=runs/ID`, as an EventSource.
    Events,
    /// `/runs/ID/events?format=raw`.
    Raw,
}

/// What the viewers saw.
pub(crate) struct Viewed {
    /// From the sending of a token to its arrival.
    pub(crate) token: Times,
    /// Seconds of the hub's CPU for each delivery.
    pub(crate) cpu: f64,
}

impl View {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Topic => "a topic",
            Self::Events => "a run's topic",
            Self::Raw => "a run, raw",
        }
    }
}

/// Opens `viewers` and counts until each has all tokens. The upstream must be asked once.
///
/// # Errors
/// Which check failed, or what the hub did.
pub(crate) async fn watch(
    server: &Server,
    upstream: &Upstream,
    viewers: usize,
    view: View,
    plan: Plan,
) -> Result<Viewed, String> {
    let (begun, requests) = (Instant::now(), upstream.requests.get());
    let target = match view {
        View::Topic => "/events?topic=news".to_owned(),
        View::Events => format!("/events?topic=runs/{}", begin(server, plan).await?),
        View::Raw => format!("/runs/{}/events?format=raw", begin(server, plan).await?),
    };
    let asked = request("GET", &target, "accept: text/event-stream\r\n", "");
    let (token, open) = (Rc::new(RefCell::new(times())), Rc::new(Cell::new(0)));
    let mut all = JoinSet::new();
    for _ in 0..viewers {
        all.spawn_local(see(server.address, asked.clone(), plan.tokens, Rc::clone(&token), Rc::clone(&open)));
        sleep(plan.after / 2 / u32::try_from(viewers).expect("few")).await;
    }
    if view == View::Topic {
        spawn_local(publish(server.address, plan, begun + plan.after));
    }
    sleep_until(begun + plan.after.mul_f64(0.9)).await;
    if open.get() < viewers {
        return Err(format!("{} of {viewers} viewers when the first token was due", open.get()));
    }
    let before = server.used();
    while let Some(ended) = all.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    let cpu = server.used().since(&before);
    let asked = upstream.requests.get() - requests;
    if asked != u64::from(view != View::Topic) {
        return Err(format!("the provider was asked {asked} times"));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let deliveries = viewers as f64 * plan.tokens as f64;
    Ok(Viewed { token: token.replace(times()), cpu: cpu / deliveries })
}

/// Begins a run and returns its id.
async fn begin(server: &Server, plan: Plan) -> Result<String, String> {
    let body = format!(r#"{{"provider":"openai","path":"/v1/chat/completions","request":{}}}"#, plan.body());
    let headers = "content-type: application/json\r\nconnection: close\r\n";
    let run = Connection::json(server.address, &request("POST", "/runs", headers, &body)).await?;
    run["run"].as_str().map(ToOwned::to_owned).ok_or_else(|| format!("no run in {run}"))
}

/// Reads a stream until it has all tokens.
async fn see(
    hub: std::net::SocketAddr,
    asked: String,
    tokens: u64,
    times: Rc<RefCell<Times>>,
    open: Rc<Cell<usize>>,
) -> Result<(), String> {
    let mut connection = Connection::open(hub).await?;
    connection.ask(&asked).await?;
    open.set(open.get() + 1);
    let (mut next, mut wrong) = (0, false);
    let mut each = |token: Token, now: u64| {
        wrong |= token.number != next;
        next = token.number + 1;
        if token.number >= FIRST {
            times.borrow_mut().saturating_record((now.saturating_sub(token.sent) / 1000).max(1));
        }
    };
    let mut goes_on = true;
    let mut seen = 0;
    while goes_on && seen < tokens {
        goes_on = connection
            .tokens(|token, now| {
                seen += 1;
                each(token, now);
            })
            .await?;
    }
    if wrong || seen != tokens {
        Err(format!("a viewer saw {seen} tokens of {tokens}, or another order"))
    } else {
        Ok(())
    }
}

/// Publishes a run's tokens, each as one event.
async fn publish(hub: std::net::SocketAddr, plan: Plan, begin: Instant) -> Result<(), String> {
    let mut connection = Connection::open(hub).await?;
    for number in 0..plan.tokens {
        sleep_until(begin + plan.apart * u32::try_from(number).expect("few")).await;
        let body = Token { number, sent: clock() }.json();
        connection.ask(&request("POST", "/publish?topic=news", "", &body)).await?;
    }
    Ok(())
}
