//! Many runs at once, and what their readers measure.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    connection::Connection,
    servers::{Server, Way},
    token::{Token, clock},
    upstream::Plan,
};

/// Microseconds.
pub(crate) type Times = Histogram<u64>;

/// A follower's tokens count from this long after it has joined: before, they are replayed.
const REPLAYED: Duration = Duration::from_millis(200);

/// Runs in parallel, each connection one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs {
    pub(crate) connections: usize,
    pub(crate) plan: Plan,
    /// Time over which the first runs begin, and whose figures do not count.
    pub(crate) ramp: Duration,
    /// Time whose figures count.
    pub(crate) time: Duration,
    /// Whether a second client joins each run at its first token.
    pub(crate) followed: bool,
    /// How long the runs that are under way may go on after that; beyond it they are cut off.
    pub(crate) grace: Duration,
}

/// What the readers saw. Times are of what was asked for, or sent, in the time that counts.
pub(crate) struct Seen {
    /// From a request to the run's first token.
    pub(crate) first: Times,
    /// From the sending of a token to its arrival.
    pub(crate) token: Times,
    /// The same of those who joined.
    pub(crate) follower: Times,
    /// Tokens that arrived at those who asked for them.
    pub(crate) tokens: f64,
    /// Runs that were cut off.
    pub(crate) late: usize,
    /// Seconds of the server's CPU.
    pub(crate) cpu: f64,
    /// Commits of the hub's store.
    pub(crate) commits: Option<f64>,
}

struct Shared {
    /// The [`clock`] at the beginning and the end of the time that counts.
    counts: (u64, u64),
    first: RefCell<Times>,
    token: RefCell<Times>,
    follower: RefCell<Times>,
    arrived: Cell<u64>,
}

pub(crate) fn times() -> Times {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds")
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("short")
}

impl Shared {
    fn record(&self, times: &RefCell<Times>, from: u64, until: u64) {
        if self.counts.0 <= from && from < self.counts.1 {
            times.borrow_mut().saturating_record((until.saturating_sub(from) / 1000).max(1));
        }
    }
}

impl Seen {
    /// Milliseconds of a quantile.
    #[expect(clippy::cast_precision_loss, reason = "microseconds, far below 2^52")]
    pub(crate) fn ms(times: &Times, quantile: f64) -> f64 {
        times.value_at_quantile(quantile) as f64 / 1000.0
    }
}

impl Runs {
    /// Runs them. Every token is checked: each reader must see all of its run, in order, once.
    ///
    /// # Errors
    /// Which check failed, or what the server did.
    pub(crate) async fn measure(self, server: &Server) -> Result<Seen, String> {
        let begun = Instant::now();
        let start = clock() + nanoseconds(self.ramp);
        let shared = Rc::new(Shared {
            counts: (start, start + nanoseconds(self.time)),
            first: RefCell::new(times()),
            token: RefCell::new(times()),
            follower: RefCell::new(times()),
            arrived: Cell::new(0),
        });
        let mut readers: Vec<_> = (0..self.connections)
            .map(|n| {
                let share = u32::try_from(n).expect("few");
                let phase = self.ramp * share / u32::try_from(self.connections).expect("few");
                let reader =
                    Reader { server: server.address, asked: server.chat(self.plan), way: server.way, runs: self };
                spawn_local(reader.read(begun + phase, begun + self.ramp + self.time, Rc::clone(&shared)))
            })
            .collect();
        sleep_until(begun + self.ramp).await;
        let commits = server.commits().await?;
        let (before, arrived) = (server.used(), shared.arrived.get());
        sleep_until(begun + self.ramp + self.time).await;
        let cpu = server.used().since(&before);
        let arrived = shared.arrived.get() - arrived;
        let commits = server.commits().await?.zip(commits).map(|(now, before)| now - before);
        let given_up = Instant::now() + self.grace;
        let mut late = 0;
        for reader in &mut readers {
            if let Ok(ended) = timeout(given_up.saturating_duration_since(Instant::now()), &mut *reader).await {
                ended.map_err(|error| error.to_string())??;
            } else {
                reader.abort();
                late += 1;
            }
        }
        let taken = |times: &RefCell<Times>| times.replace(self::times());
        Ok(Seen {
            first: taken(&shared.first),
            token: taken(&shared.token),
            follower: taken(&shared.follower),
            tokens: f64::from(u32::try_from(arrived).expect("few")),
            late,
            cpu,
            commits,
        })
    }
}

struct Reader {
    server: SocketAddr,
    way: Way,
    asked: String,
    runs: Runs,
}

impl Reader {
    async fn read(self, begin: Instant, end: Instant, shared: Rc<Shared>) -> Result<(), String> {
        sleep_until(begin).await;
        let mut connection = Connection::open(self.server).await?;
        while Instant::now() < end {
            let asked = clock();
            let head = connection.ask(&self.asked).await?;
            let (mut next, mut wrong, mut follower) = (0, None, None);
            while connection
                .tokens(|token, now| {
                    if token.number == 0 {
                        shared.record(&shared.first, asked, now);
                    }
                    if token.number != next {
                        wrong = Some(format!("token {} where {next} was due", token.number));
                    }
                    next += 1;
                    shared.record(&shared.token, token.sent, now);
                    shared.arrived.set(shared.arrived.get() + 1);
                })
                .await?
            {
                if self.runs.followed && next > 0 && follower.is_none() {
                    follower = Some(self.follow(&head, &shared)?);
                }
            }
            complete(self.runs.plan.tokens, next, wrong)?;
            if let Some(follower) = follower {
                follower.await.map_err(|error| error.to_string())??;
            }
        }
        Ok(())
    }

    /// Reads the same run on another connection, from its start.
    fn follow(&self, head: &str, shared: &Rc<Shared>) -> Result<JoinHandle<Result<(), String>>, String> {
        let asked = self.way.follow(head).ok_or_else(|| format!("nothing to follow in {head}"))?;
        let (server, tokens, shared) = (self.server, self.runs.plan.tokens, Rc::clone(shared));
        Ok(spawn_local(async move {
            let mut connection = Connection::open(server).await?;
            connection.ask(&asked).await?;
            let live = clock() + nanoseconds(REPLAYED);
            let (mut next, mut wrong) = (0, None);
            let mut each = |token: Token, now| {
                if token.number != next {
                    wrong = Some(format!("a follower saw token {} where {next} was due", token.number));
                }
                next += 1;
                if token.sent > live {
                    shared.record(&shared.follower, token.sent, now);
                }
            };
            while connection.tokens(&mut each).await? {}
            complete(tokens, next, wrong)
        }))
    }
}

fn complete(tokens: u64, seen: u64, wrong: Option<String>) -> Result<(), String> {
    match wrong {
        Some(wrong) => Err(wrong),
        None if seen != tokens => Err(format!("{seen} tokens of {tokens}")),
        None => Ok(()),
    }
}

/// Memory of the server for each of `connections` runs that have sent one token and wait for the next, in bytes.
///
/// # Errors
/// What the server did.
pub(crate) async fn waiting(server: &Server, connections: usize, hold: Duration) -> Result<f64, String> {
    let plan = Plan { after: Duration::ZERO, tokens: 2, apart: hold };
    let settled = Duration::from_secs(1);
    let before = server.resident();
    let runs = Runs { connections, plan, ramp: hold / 3, time: Duration::ZERO, followed: false, grace: 2 * hold };
    let measured = async {
        sleep(hold / 3 + settled).await;
        server.resident()
    };
    let (seen, resident) = tokio::join!(runs.measure(server), measured);
    seen?;
    Ok((resident - before) / f64::from(u32::try_from(connections).expect("few")))
}
