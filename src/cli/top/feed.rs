//! The statistics of a hub, once a second: reads the stream of `GET /admin/stats`, and reconnects.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{hub_stats::HubStats, model::FeedEvent};
use crate::{
    cli::{
        CliError,
        client::{Dial, HubClient},
        delay,
        problem::HubProblem,
    },
    event::sse_parser::Parser,
};

/// Silence after which a connection is closed. The hub sends an event a second; while its disk does not answer, one
/// takes about two seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Longest statistics: they name some fifty topics and holders and take about 10 KiB.
const MAX_BYTES: usize = 1024 * 1024;

/// Shortest time between two questions for the reason while the hub is not ready.
const REASON_INTERVAL: Duration = Duration::from_secs(5);

const PATH: &str = "/admin/stats";

/// The statistics once.
///
/// # Errors
/// When the hub cannot be reached, refuses, or is another server.
pub(super) async fn once<D: Dial>(hub: &HubClient<D>) -> Result<(HubStats, Option<String>), CliError> {
    let response = request(hub, PATH, "application/json").await?;
    if response.status() != StatusCode::OK {
        return Err(CliError::Refused(HubProblem::read(response).await));
    }
    let body = timeout(SILENCE, Limited::new(response.into_body(), MAX_BYTES).collect()).await;
    let body = body.map_err(|_| silent())?.map_err(|error| CliError::Broken(error.to_string()))?;
    let stats = HubStats::parse(&String::from_utf8_lossy(&body.to_bytes()))?;
    let reason = if stats.ready { None } else { reason(hub).await };
    Ok((stats, reason))
}

/// The stream of statistics.
pub(super) struct StatsFeed<'a, D> {
    hub: &'a HubClient<D>,
    sender: mpsc::Sender<FeedEvent>,
    retry: Duration,
    /// Why the hub is not ready, and when that was asked.
    reason: Option<(Instant, Option<String>)>,
}

impl<'a, D: Dial> StatsFeed<'a, D> {
    /// Sends what it receives to `sender`.
    pub(super) fn new(hub: &'a HubClient<D>, sender: mpsc::Sender<FeedEvent>) -> Self {
        Self { hub, sender, retry: delay::DEFAULT_RETRY, reason: None }
    }

    /// Reads until the receiver is closed.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let ended = self.connect(&mut failures).await;
            failures += 1;
            let (reason, retry_after) = match ended {
                CliError::Refused(mut problem) => {
                    let retry_after = problem.take_retry_after();
                    (CliError::Refused(problem), retry_after)
                }
                reason => (reason, Duration::ZERO),
            };
            let wait = delay::next(self.retry, retry_after, failures, fastrand::f64());
            if self.sender.send(FeedEvent::Lost(lost(&reason, wait))).await.is_err() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection from its request to its end, which has a reason.
    async fn connect(&mut self, failures: &mut u32) -> CliError {
        let response = match request(self.hub, PATH, "text/event-stream").await {
            Ok(response) => response,
            Err(reason) => return reason,
        };
        if response.status() != StatusCode::OK {
            return CliError::Refused(HubProblem::read(response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return CliError::NotAHub(format!("its statistics have the type {kind:?}, not text/event-stream"));
        }
        let mut body = response.into_body();
        let mut parser = Parser::new(MAX_BYTES);
        loop {
            let chunk = match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return CliError::broken(&error),
                Ok(None) => return CliError::Broken("the hub ended the stream".into()),
                Err(_) => return silent(),
            };
            let mut newest = None;
            parser.push(&chunk, |block| newest = block.ok().and_then(|block| block.data).or(newest.take()));
            if let Some(milliseconds) = parser.retry() {
                self.retry = Duration::from_millis(milliseconds);
            }
            let Some(data) = newest else { continue };
            let stats = match HubStats::parse(&data) {
                Ok(stats) => stats,
                Err(reason) => return reason,
            };
            *failures = 0;
            let reason = self.reason(&stats).await;
            if self.sender.send(FeedEvent::Stats(stats.into(), reason)).await.is_err() {
                // Then nobody reads the reason either.
                return CliError::OutputClosed;
            }
        }
    }

    /// Why the hub is not ready, asked every few seconds.
    async fn reason(&mut self, stats: &HubStats) -> Option<String> {
        if stats.ready || stats.draining {
            self.reason = None;
            return None;
        }
        if self.reason.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= REASON_INTERVAL) {
            self.reason = Some((Instant::now(), reason(self.hub).await));
        }
        self.reason.as_ref().and_then(|(_, reason)| reason.clone())
    }
}

/// What `GET /readyz` says, if it is a refusal.
async fn reason<D: Dial>(hub: &HubClient<D>) -> Option<String> {
    let response = request(hub, "/readyz", "application/json").await.ok()?;
    if response.status() == StatusCode::OK {
        return None;
    }
    Some(HubProblem::read(response).await.detail().to_owned()).filter(|detail| !detail.is_empty())
}

async fn request<D: Dial>(
    hub: &HubClient<D>,
    target: &str,
    accept: &'static str,
) -> Result<Response<Incoming>, CliError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let request = hub.send(Method::GET, target, headers, Empty::<Bytes>::new());
    Ok(timeout(SILENCE, request).await.map_err(|_| silent())??)
}

/// The message about a lost connection. The reason is last, because it may be long.
fn lost(reason: &CliError, wait: Duration) -> String {
    format!("no connection, trying again in {:.1} s: {reason}", wait.as_secs_f64())
}

fn silent() -> CliError {
    CliError::Broken(format!("nothing was received for {} s", SILENCE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::{super::hub_stats::tests::BUSY, *};
    use crate::cli::scripted::{STREAM, Script, ScriptStep, answer, hub, run, serve, stream};

    /// What the feed sends while the hub plays `scripts`, and its requests.
    fn fed(scripts: Vec<Script>, count: usize) -> (Vec<String>, Vec<String>) {
        let (mut events, mut targets) = (Vec::new(), Vec::new());
        run(async {
            let (hub, requests) = hub(scripts);
            let (sender, mut receiver) = mpsc::channel(1);
            let feed = StatsFeed::new(&hub, sender).run();
            tokio::pin!(feed);
            while events.len() < count {
                let event = tokio::select! {
                    event = receiver.recv() => event.expect("it is sent to"),
                    () = &mut feed => panic!("it goes on"),
                };
                events.push(match event {
                    FeedEvent::Stats(stats, reason) => format!("{} {}", stats.version, reason.unwrap_or_default()),
                    FeedEvent::Lost(reason) => reason,
                });
            }
            let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
            targets = requests.borrow().iter().map(|request| line(&request.text)).collect();
        });
        (events, targets)
    }

    fn event(ready: bool) -> String {
        let json = BUSY.replace("\"ready\": true", &format!("\"ready\": {ready}"));
        format!("data: {}\n\n", json.replace('\n', " "))
    }

    #[test]
    fn it_reconnects_and_says_why() {
        let silent = serve(vec![ScriptStep::Send(format!("{STREAM}{}", event(true))), ScriptStep::Hang]);
        let scripts = vec![
            stream(&format!("retry: 1000\n{}", event(true))),
            Script::Refuse,
            answer("401 Unauthorized", r#"{"detail":"the token has expired"}"#),
            silent,
            answer("503 Later\r\nretry-after: 7", ""),
            stream(&event(true)),
        ];
        let (events, _) = fed(scripts, 8);
        for (event, want) in events.iter().zip([
            "0.1.0 ",
            "no connection, trying again in 1.",
            "cannot reach the hub",
            "the token has expired",
            "0.1.0 ",
            "nothing was received for 10 s",
            "again in 7.0 s: ",
            "0.1.0 ",
        ]) {
            assert!(event.contains(want), "{want}: {events:#?}");
        }
    }

    #[test]
    fn a_hub_that_is_not_ready_is_asked_for_the_reason_now_and_then() {
        let second = || ScriptStep::Pause(Duration::from_secs(1));
        let mut steps = vec![ScriptStep::Send(STREAM.into())];
        for _ in 0..7 {
            steps.extend([ScriptStep::Send(event(false)), second()]);
        }
        steps.push(ScriptStep::Hang);
        let full = || answer("507 Insufficient Storage", r#"{"detail":"the disk is full"}"#);
        let (events, requests) = fed(vec![serve(steps), full(), full()], 7);
        assert!(events.iter().all(|event| event == "0.1.0 the disk is full"), "{events:?}");
        assert_eq!(requests, ["GET /admin/stats HTTP/1.1", "GET /readyz HTTP/1.1", "GET /readyz HTTP/1.1"]);
    }

    #[test]
    fn once_it_takes_json_and_refusals_are_errors() {
        run(async {
            let (hub, requests) =
                hub([answer("200 OK", BUSY), answer("403 Forbidden", "{}"), answer("200 OK", "<html>")]);
            assert_eq!(once(&hub).await.expect("statistics").0.version, "0.1.0");
            assert!(requests.borrow()[0].text.contains("accept: application/json\r\n"));
            assert!(once(&hub).await.expect_err("forbidden").to_string().contains("403"));
            assert!(once(&hub).await.expect_err("a page").to_string().contains("not a gapless hub"));
        });
    }
}
