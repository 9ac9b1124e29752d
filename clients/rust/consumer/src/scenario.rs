//! A scenario, step by step.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gapless_client::PublishStream;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    Failure,
    consumer::{Consumer, Ended, Stores, hub, problem},
    hub::{HubProcess, PATIENCE},
    matching::{Saved, filled, known, matches, path},
    proxy::Proxy,
    publishing::{Published, data, finish, judge, publish},
};

pub(crate) struct Scenario {
    hub: HubProcess,
    proxy: Proxy,
    url: String,
    flags: Vec<String>,
    saved: Saved,
    stores: Stores,
    consumers: BTreeMap<String, Consumer>,
    streams: BTreeMap<String, PublishStream>,
    /// Steps that only began.
    background: BTreeMap<String, (Value, JoinHandle<Result<Published, Failure>>)>,
}

impl Scenario {
    /// Runs a scenario.
    pub(crate) async fn run(file: &Value) -> Result<(), Failure> {
        let hub = HubProcess::new().await;
        let proxy = Proxy::to(hub.port).await;
        let url = format!("http://127.0.0.1:{}", proxy.port);
        let mut scenario = Self {
            hub,
            proxy,
            url,
            flags: texts(&file["flags"]),
            saved: Saved::new(),
            stores: Stores::default(),
            consumers: BTreeMap::new(),
            streams: BTreeMap::new(),
            background: BTreeMap::new(),
        };
        for (index, step) in file["steps"].as_array().into_iter().flatten().enumerate() {
            let late = || Err("it never ended".into());
            timeout(2 * PATIENCE, scenario.step(step)).await.unwrap_or_else(|_| late()).map_err(|failure| {
                let step: String = step.to_string().chars().take(300).collect();
                format!("step {index} {step}: {failure}; {}", scenario.state())
            })?;
        }
        Ok(())
    }

    /// What the consumers have, in short.
    fn state(&self) -> String {
        let shown = self.consumers.iter().map(|(name, consumer)| {
            let ended = match &*consumer.ended.lock() {
                None => "it goes on".to_owned(),
                Some(Ended::Done) => "done".into(),
                Some(Ended::Failed) => "failed".into(),
                Some(Ended::Error(error)) => error.to_string(),
            };
            let taken = consumer.taken.lock();
            let items: String = json!(&taken[..taken.len().min(5)]).to_string().chars().take(800).collect();
            format!("{name} ({ended}) has {} items: {items}", taken.len())
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    async fn step(&mut self, step: &Value) -> Result<(), Failure> {
        let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        let token = step["token"].as_str();
        let path = path(&self.saved, &text("path"));
        match &*text("do") {
            "hub" => match &*text("is") {
                "killed" => self.hub.end("KILL").await,
                "stopped" => self.hub.end("TERM").await,
                _ => {
                    if !step["flags"].is_null() {
                        self.flags = texts(&step["flags"]);
                    }
                    return self.hub.start(&self.flags, step["store"] == "new").await;
                }
            },
            "request" => {
                let body = Some(&step["body"]).filter(|body| !body.is_null());
                let (status, _) = self.hub.request(&text("method"), &path, body, token, "").await?;
                return matches(&self.saved, &status.into(), &step["status"]);
            }
            "await" => {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let answer = self.hub.request("GET", &path, None, token, "").await;
                    let outcome = answer.and_then(|(_, body)| matches(&self.saved, &body, &step["has"]));
                    if outcome.is_ok() || Instant::now() > deadline {
                        return outcome;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
            "fill" => {
                let batch = filled(step).into_iter().map(|data| json!({"topic": step["topic"], "data": data}));
                let batch = Value::Array(batch.collect());
                let (status, answer) = self.hub.request("POST", "/publish", Some(&batch), token, "").await?;
                return if status == 200 { Ok(()) } else { Err(answer.to_string()) };
            }
            "kept" => return self.kept(step, token).await,
            "proxy" => {
                self.proxy.obey(step);
                if let Some(most) = step["holds"].as_u64() {
                    return self.holds(most).await;
                }
            }
            "publish" => {
                let work = publish(self.url.clone(), step.clone(), self.saved.clone());
                return self.outcome(step, work).await;
            }
            "write" => {
                if !self.streams.contains_key(&text("as")) {
                    let hub = hub(&self.url, &step["token"], &Arc::default())?;
                    let stream = hub.stream(text("topic")).map_err(|error| error.to_string())?;
                    self.streams.insert(text("as"), stream);
                }
                let stream = &self.streams[&text("as")];
                let mut written = Ok(Vec::new());
                for value in filled(step) {
                    let wrote = match step["event"].as_str() {
                        Some(name) => stream.write_event(name, data(&value)).await,
                        None => stream.write(data(&value)).await,
                    };
                    if let Err(error) = wrote {
                        written = Err(error);
                        break;
                    }
                }
                return judge(step, written, &mut self.saved);
            }
            "finish" => {
                let stream = self.streams.remove(&text("as")).ok_or("no such stream")?;
                let last = step["last"].clone();
                return self.outcome(step, async { Ok(finish(stream, last).await) }).await;
            }
            "join" => {
                let (begun, task) = self.background.remove(&text("of")).ok_or("nothing of this name")?;
                let outcome = task.await.map_err(|error| error.to_string())??;
                return judge(&begun, outcome, &mut self.saved);
            }
            "subscribe" => {
                let mut step = step.clone();
                if let Some(cursor) = step["cursor"].as_str() {
                    step["cursor"] = known(&self.saved, cursor).into();
                }
                self.consumers.insert(text("as"), Consumer::start(&self.url, &step, &self.stores)?);
            }
            "take" => self.consumers[&text("of")].take(),
            "leave" => self.consumers[&text("of")].leave(),
            "expect" => return self.expect(&text("of"), step).await,
            "cursor" => {
                let (name, want) = (text("store"), known(&self.saved, &text("is")));
                let stores = Arc::clone(&self.stores);
                let get = || stores.lock().get(&name).cloned();
                return until(|| get().as_ref() == Some(&want))
                    .await
                    .map_err(|()| format!("the store has {:?}, not {want}", get()));
            }
            other => return Err(format!("no such step: {other}")),
        }
        Ok(())
    }

    /// Does what publishes, now or in the background, and judges its outcome.
    async fn outcome(
        &mut self,
        step: &Value,
        work: impl Future<Output = Result<Published, Failure>> + Send + 'static,
    ) -> Result<(), Failure> {
        match step["background"].as_str() {
            Some(name) => {
                self.background.insert(name.into(), (step.clone(), tokio::spawn(work)));
                Ok(())
            }
            None => judge(step, work.await?, &mut self.saved),
        }
    }

    async fn expect(&mut self, name: &str, step: &Value) -> Result<(), Failure> {
        let consumer = &self.consumers[name];
        let count = |items: &[Value]| items.iter().map(|data| json!({"type": "event", "data": data})).collect();
        let list: Option<Vec<Value>> = match (&step["items"], &step["count"]) {
            (Value::Array(items), _) => Some(items.clone()),
            (_, Value::Number(_)) => Some(count(&filled(step))),
            _ => None,
        };
        let ended = || consumer.ended.lock().is_some();
        if let Some(list) = list {
            let enough = || consumer.taken.lock().len() >= list.len();
            until(|| enough() || ended()).await.map_err(|()| format!("there are not {} items", list.len()))?;
            let mut taken = consumer.taken.lock();
            let most = list.len().min(taken.len());
            let first: Vec<Value> = taken.drain(..most).collect();
            return matches(&self.saved, &first.into(), &list.into());
        }
        if !step["tokens"].is_null() {
            return matches(&self.saved, &consumer.tokens.load(Ordering::SeqCst).into(), &step["tokens"]);
        }
        until(ended).await.map_err(|()| "the subscription goes on")?;
        let rest = consumer.taken.lock();
        if !rest.is_empty() {
            return Err(format!("{} items are left", rest.len()));
        }
        match consumer.ended.lock().as_ref().expect("it has ended") {
            Ended::Done if step["done"] == true => Ok(()),
            Ended::Failed if step["failed"] == true => Ok(()),
            Ended::Error(error) if !step["error"].is_null() => matches(&self.saved, &problem(error), &step["error"]),
            _ => Err("it has ended otherwise".into()),
        }
    }

    async fn kept(&self, step: &Value, token: Option<&str>) -> Result<(), Failure> {
        let topic = step["topic"].as_str().unwrap_or_default();
        let (mut all, mut start) = (Vec::new(), "from=earliest".to_owned());
        loop {
            let path = format!("/events?topic={topic}&limit=1000&{start}");
            let (_, page) = self.hub.request("GET", &path, None, token, "application/json").await?;
            let events = page["events"].as_array().ok_or("no page")?;
            if events.is_empty() {
                return matches(&self.saved, &all.into(), &filled(step).into());
            }
            all.extend(events.iter().map(|event| event["data"].clone()));
            start = format!("last_event_id={}", page["next"].as_str().unwrap_or_default());
        }
    }

    /// Waits until the proxy has passed nothing on for a while.
    async fn holds(&self, most: u64) -> Result<(), Failure> {
        let mut before = None;
        while before != Some(self.proxy.passed()) {
            before = Some(self.proxy.passed());
            sleep(Duration::from_secs(1)).await;
        }
        let passed = self.proxy.passed();
        if passed < most { Ok(()) } else { Err(format!("{passed} bytes went to the client")) }
    }
}

async fn until(holds: impl Fn() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return Err(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}
