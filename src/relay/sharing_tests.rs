//! Two hubs over one log, each with a relay to one fake provider.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

use super::{
    Relay, RelayLimits, RelayShard, dialect,
    ending::RunStatus,
    following::follow,
    interrupting::interrupt,
    journal,
    provider::{Provider, UnwatchedPolicy},
    recovery::recover,
    run::{Run, RunAccount, RunFacts, RunPhase},
    runs::{JoinRefused, RunCursor, RunIdentity, Runs},
    signals::StartFailure,
    start::{self, RunRequest},
    upstream::UpstreamRequest,
};
use crate::{
    client::{ServerAddress, pool},
    engine::AppendError,
    event::{Event, TopicName},
    hub::{
        batch::ReadLimit,
        shared_log::{SharedLog, SharingHub},
    },
    lifecycle::Drain,
};

const FRAME: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;

/// Answers every request with a frame, and with another and its end when it may.
#[derive(Clone)]
struct FakeProvider {
    address: String,
    asked: Arc<AtomicUsize>,
    /// Requests whose connection was closed before the answer's end.
    closed: Arc<AtomicUsize>,
    may_end: watch::Sender<bool>,
}

impl FakeProvider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let this = Self { address, asked: Arc::default(), closed: Arc::default(), may_end: watch::Sender::new(false) };
        let provider = this.clone();
        spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                spawn_local(provider.clone().answer(socket));
            }
        });
        this
    }

    async fn answer(self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        self.asked.fetch_add(1, SeqCst);
        let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        socket.write_all(format!("{begin}{FRAME}\n\n").as_bytes()).await.expect("written");
        let mut may_end = self.may_end.subscribe();
        let mut rest = [0; 64];
        tokio::select! {
            _ = may_end.wait_for(|may| *may) => {
                let _left = socket.write_all(format!("{FRAME}\n\ndata: [DONE]\n\n").as_bytes()).await;
            }
            () = async { while socket.read(&mut rest).await.unwrap_or(0) > 0 {} } => {
                self.closed.fetch_add(1, SeqCst);
            }
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

struct Free;

impl RunAccount for Free {
    fn charge(&self, _: u64) {}
}

/// An account with one permit.
#[derive(Clone, Default)]
struct OnePermit {
    run: Rc<OnceCell<Arc<Run>>>,
    /// Whether the run was over when the permit came back.
    was_over: Rc<Cell<Option<bool>>>,
}

impl RunAccount for OnePermit {
    fn charge(&self, _: u64) {}
}

impl Drop for OnePermit {
    fn drop(&mut self) {
        if let Some(run) = self.run.get() {
            self.was_over.set(Some(matches!(run.phase(), RunPhase::Ended)));
        }
    }
}

/// A hub with its relay.
struct Node {
    sharing: SharingHub,
    shard: Rc<RelayShard>,
    provider: Arc<Provider>,
}

impl Node {
    async fn start(sharing: SharingHub, provider: &FakeProvider) -> Self {
        let hub = Arc::clone(&sharing.hub);
        let runs = Arc::new(Runs::new(hub.members().hub, 100, 50, Duration::from_hours(1)));
        let recovered = recover(&hub, &runs).await.expect("readable");
        assert_eq!(recovered.interrupted, 0);
        let server = ServerAddress {
            tls: false,
            host: "127.0.0.1".into(),
            address: provider.address.clone(),
            authority: provider.address.clone(),
            socket: None,
        };
        let provider = Arc::new(Provider {
            name: "fake".into(),
            dialect: dialect::by_name("openai").expect("there is one"),
            path_prefix: String::new(),
            connector: pool::connector(&server).expect("plain"),
            models: Vec::new(),
            on_disconnect: UnwatchedPolicy::Continue,
            endpoints: Vec::new(),
            key: arc_swap::ArcSwapOption::empty(),
        });
        let long = Duration::from_mins(1);
        let limits = RelayLimits {
            connect_timeout: long,
            first_byte_timeout: long,
            silence_timeout: long,
            run_timeout: long,
            request_bytes: 1 << 20,
            event_bytes: 1 << 20,
            answer_bytes: 1 << 20,
        };
        let providers = [("fake".to_owned(), Arc::clone(&provider))].into();
        let relay = Arc::new(Relay::new(hub, (runs, recovered.tail), providers, limits, Drain::new()));
        let shard = RelayShard::new(Arc::clone(&relay));
        let publisher = Rc::clone(&shard.publisher);
        spawn_local(async move { publisher.run().await });
        spawn_local(follow(relay));
        Self { sharing, shard, provider }
    }

    fn relay(&self) -> &Arc<Relay> {
        &self.shard.relay
    }

    /// Asks for a run. The id is that of the run, if it is a new one.
    fn ask(&self, id: &str, key: Option<&str>, topic: Option<&str>) -> Result<Arc<Run>, JoinRefused> {
        self.ask_on(Box::new(Free), id, key, topic)
    }

    /// Asks for a run on this account.
    fn ask_on(
        &self,
        account: Box<dyn RunAccount>,
        id: &str,
        key: Option<&str>,
        topic: Option<&str>,
    ) -> Result<Arc<Run>, JoinRefused> {
        let identity =
            RunIdentity { fingerprint: "f".into(), key: key.map(Into::into), cursor: RunCursor::None, retry: false };
        let facts = RunFacts {
            topic: TopicName::new(topic.unwrap_or(&journal::own_topic(id))).expect("valid"),
            owns_topic: topic.is_none(),
            id: id.into(),
            provider: "fake".into(),
            model: "m".into(),
            api: dialect::api_by_name("openai.chat").expect("there is one"),
            holder: None,
            fingerprint: "f".into(),
            key: key.map(Into::into),
            request_bytes: 1,
        };
        let upstream = UpstreamRequest {
            method: Method::POST,
            target: "/v1/chat/completions".into(),
            headers: HeaderMap::new(),
            body: "{}".into(),
        };
        let request = RunRequest {
            provider: Arc::clone(&self.provider),
            identity,
            upstream,
            memory: Box::new(()),
            at_once: true,
            on_disconnect: UnwatchedPolicy::Continue,
        };
        start::join(&self.shard, request, || facts, || Ok(account)).map(|joined| joined.run)
    }

    /// The run of this id, as it is known here.
    async fn find(&self, id: &str) -> Arc<Run> {
        self.relay().find(id).await.expect("known")
    }

    /// The events of a topic.
    async fn events(&self, topic: &TopicName) -> Vec<Arc<Event>> {
        let limit = ReadLimit { events: 1000, bytes: 1 << 20 };
        self.relay().hub.tail(topic.clone()).read(limit).await.expect("readable").events
    }

    /// Waits until the first frame of its provider is in the log.
    async fn has_its_first_frame(&self, run: &Run) {
        in_time(async {
            while !names(&self.events(&run.facts.topic).await).contains(&"message") {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// Waits until it has begun. The run that is read: another one, if another hub was first.
async fn begun(mut run: Arc<Run>) -> Result<Arc<Run>, StartFailure> {
    loop {
        match in_time(run.decided()).await {
            RunPhase::Joined(other) => run = other,
            RunPhase::NotStarted(failure) => return Err((*failure).clone()),
            _ => return Ok(run),
        }
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// Waits until it holds.
async fn until(mut holds: impl FnMut() -> bool) {
    in_time(async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Hubs `a`, which leads, and `b` over one log.
async fn two() -> (FakeProvider, Node, Node, SharedLog) {
    let (provider, log) = (FakeProvider::start().await, SharedLog::new());
    let a = Node::start(log.hub("a", &["b"], true), &provider).await;
    let b = Node::start(log.hub("b", &["a"], false), &provider).await;
    (provider, a, b, log)
}

fn names(events: &[Arc<Event>]) -> Vec<&str> {
    events.iter().map(|event| event.new.name.as_str()).collect()
}

const WHOLE: [&str; 5] = ["run.started", "message", "message", "message", "run.ended"];

#[tokio::test]
async fn a_run_of_one_hub_is_known_at_the_other_until_it_is_deleted() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            let run = begun(a.ask("run_1", Some("k"), None).expect("a run")).await.expect("begun");
            let there = b.find("run_1").await;
            assert!(matches!(in_time(there.decided()).await, RunPhase::Started) && !there.is_here());
            assert_eq!(there.state().first, run.state().first);
            assert_eq!(
                begun(b.ask("run_2", Some("k"), None).expect("it joins")).await.expect("begun").facts.id,
                "run_1"
            );
            provider.may_end.send_replace(true);
            in_time(there.over()).await;
            in_time(run.over()).await;
            let (state, own) = (there.state(), run.state());
            assert_eq!((state.status, state.last), (RunStatus::Completed, own.last));
            assert_eq!(names(&b.events(&run.facts.topic).await), WHOLE);
            assert_eq!(b.relay().runs.list(None, 10, |_| true).len(), 1);
            b.relay().forget(&there).await.expect("stored");
            until(|| a.relay().runs.get("run_1").is_none()).await;
            assert_eq!(provider.asked(), 1);
        })
        .await;
}

#[tokio::test]
async fn two_hubs_that_are_asked_with_one_key_at_once_ask_the_provider_once() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            provider.may_end.send_replace(true);
            for number in 0..20 {
                let key = format!("k{number}");
                let asked = [&a, &b].map(|hub| {
                    let id = format!("run_{number}{}", hub.relay().runs.hub().expect("shared"));
                    hub.ask(&id, Some(&key), None).expect("a run")
                });
                let [one, other] = asked.map(begun);
                let (one, other) = tokio::join!(one, other);
                let (one, other) = (one.expect("begun"), other.expect("begun"));
                assert_eq!(one.facts.id, other.facts.id);
                assert!(one.is_here() != other.is_here());
                in_time(one.over()).await;
                assert_eq!(provider.asked(), number + 1);
            }
            until(|| [&a, &b].iter().all(|hub| hub.relay().runs.list(None, 100, |_| true).len() == 20)).await;
        })
        .await;
}

/// Who is told that a run is over may begin another, also at its limit.
#[tokio::test]
async fn the_permit_of_a_run_is_returned_before_the_run_is_over() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, _b, _log) = two().await;
            provider.may_end.send_replace(true);
            let OnePermit { run: permitted, was_over } = &OnePermit::default();
            let account = OnePermit { run: Rc::clone(permitted), was_over: Rc::clone(was_over) };
            let run = a.ask_on(Box::new(account), "run_1", None, None).expect("a run");
            assert!(permitted.set(Arc::clone(&run)).is_ok());
            in_time(run.over()).await;
            assert_eq!(was_over.get(), Some(false));
        })
        .await;
}

#[tokio::test]
async fn one_topic_has_one_running_run_over_all_hubs() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            let asked = [&a, &b].map(|hub| {
                let id = format!("run_{}", hub.relay().runs.hub().expect("shared"));
                begun(hub.ask(&id, None, Some("chat")).expect("a run"))
            });
            let [one, other] = asked;
            let (one, other) = tokio::join!(one, other);
            let (won, lost) = if let Ok(won) = one { (won, other) } else { (other.expect("one"), one) };
            assert_eq!(lost.expect_err("the topic is busy"), StartFailure::TopicBusy(won.facts.id.clone()));
            until(|| provider.asked() > 0).await;
            let loser = if won.facts.id == "run_a" { &b } else { &a };
            assert_eq!(
                loser.ask("run_c", None, Some("chat")).unwrap_err(),
                JoinRefused::TopicBusy(won.facts.id.clone())
            );
            provider.may_end.send_replace(true);
            in_time(loser.find(&won.facts.id).await.over()).await;
            assert_eq!(provider.asked(), 1);
            begun(loser.ask("run_d", None, Some("chat")).expect("it is free")).await.expect("begun");
        })
        .await;
}

#[tokio::test]
async fn a_run_is_stopped_from_another_hub() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            let run = begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            until(|| provider.asked() == 1).await;
            let there = b.find("run_1").await;
            b.relay().stop(&there, Some("someone".into()), false).await.expect("stored");
            in_time(there.over()).await;
            for state in [there.state(), run.state()] {
                assert_eq!((state.status, state.by.as_deref()), (RunStatus::Stopped, Some("someone")));
            }
            until(|| provider.closed.load(SeqCst) == 1).await;
        })
        .await;
}

#[tokio::test]
async fn a_run_that_is_read_at_another_hub_is_watched() {
    LocalSet::new()
        .run_until(async {
            let (_provider, a, b, _log) = two().await;
            let run = begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            sleep(Duration::from_millis(50)).await;
            assert!(!run.is_watched_elsewhere());
            let _reader = b.find("run_1").await.wait();
            until(|| run.is_watched_elsewhere()).await;
        })
        .await;
}

#[tokio::test]
async fn a_run_whose_hub_is_gone_is_interrupted_once_and_its_hub_gives_it_up_when_it_comes_back() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, log) = two().await;
            let c = Node::start(log.hub("c", &["a", "b"], false), &provider).await;
            let run = begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            let chat = begun(a.ask("run_2", None, Some("chat")).expect("a run")).await.expect("begun");
            for run in [&run, &chat] {
                a.has_its_first_frame(run).await;
            }
            a.sharing.cut_off(true);
            // It cannot be known yet that it is gone.
            b.sharing.knows(&["c"], true, false);
            c.sharing.knows(&["b", "a"], true, true);
            sleep(Duration::from_millis(2500)).await;
            assert!(b.find("run_1").await.is_running(), "it may live");
            // Two hubs believe to lead.
            b.sharing.knows(&["c"], true, true);
            c.sharing.knows(&["b"], true, true);
            for hub in [&b, &c] {
                for id in ["run_1", "run_2"] {
                    let there = hub.find(id).await;
                    in_time(there.over()).await;
                    assert_eq!(there.state().status, RunStatus::Interrupted);
                }
            }
            assert!(run.is_running(), "its hub has not heard of it");
            a.sharing.cut_off(false);
            in_time(run.over()).await;
            in_time(chat.over()).await;
            assert_eq!((run.state().status, chat.state().status), (RunStatus::Interrupted, RunStatus::Interrupted));
            until(|| provider.closed.load(SeqCst) == 2).await;
            sleep(Duration::from_millis(1500)).await;
            for topic in [&run.facts.topic, &chat.facts.topic] {
                let events = b.events(topic).await;
                assert_eq!(names(&events), ["run.started", "message", "run.ended"]);
            }
        })
        .await;
}

/// As in an outage that is longer than a publisher waits.
#[tokio::test]
async fn an_answer_is_complete_also_when_others_are_told_that_it_is_not_known_what_is_stored() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            let run = begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            a.has_its_first_frame(&run).await;
            a.sharing.leave_in_doubt();
            provider.may_end.send_replace(true);
            in_time(run.over()).await;
            let there = b.find("run_1").await;
            in_time(there.over()).await;
            assert_eq!((run.state().status, there.state().status), (RunStatus::Completed, RunStatus::Completed));
            let events = b.events(&run.facts.topic).await;
            assert_eq!(names(&events), ["run.started", "message", "message", "message", "run.ended"]);
        })
        .await;
}

#[tokio::test]
async fn of_two_hubs_that_end_a_run_at_once_one_does() {
    LocalSet::new()
        .run_until(async {
            let (_provider, a, b, log) = two().await;
            let c = Node::start(log.hub("c", &["a", "b"], false), &FakeProvider::start().await).await;
            let chat = begun(a.ask("run_1", None, Some("chat")).expect("a run")).await.expect("begun");
            let end = async |hub: &Node| {
                let run = hub.find("run_1").await;
                interrupt(&hub.relay().hub, &hub.relay().runs, &run).await
            };
            let (one, other) = tokio::join!(end(&b), end(&c));
            assert!(matches!(
                (&one, &other),
                (Ok(()), Err(AppendError::KeyReused)) | (Err(AppendError::KeyReused), Ok(()))
            ));
            in_time(chat.over()).await;
            let events = b.events(&chat.facts.topic).await;
            assert_eq!(names(&events).iter().filter(|name| **name == "run.ended").count(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_hub_that_starts_leaves_the_runs_of_those_that_live_and_the_leader_ends_those_of_earlier_processes() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, log) = two().await;
            begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            begun(b.ask("run_2", None, None).expect("a run")).await.expect("begun");
            let late = Node::start(log.hub("b-again", &["a"], true), &provider).await;
            in_time(late.find("run_2").await.over()).await;
            sleep(Duration::from_millis(1500)).await;
            assert_eq!(late.find("run_2").await.state().status, RunStatus::Interrupted);
            assert!(late.find("run_1").await.is_running());
        })
        .await;
}

#[tokio::test]
async fn an_ending_that_could_not_be_stored_is_written_when_the_log_is_back() {
    LocalSet::new()
        .run_until(async {
            let (provider, a, b, _log) = two().await;
            let run = begun(a.ask("run_1", None, None).expect("a run")).await.expect("begun");
            until(|| provider.asked() == 1).await;
            let there = b.find("run_1").await;
            run.set_phase(RunPhase::Lost);
            a.relay().lost.lock().push(Arc::clone(&run));
            in_time(there.over()).await;
            assert_eq!(there.state().status, RunStatus::Interrupted);
        })
        .await;
}
