use super::*;
use crate::{
    event::{Epoch, EventId, Seq},
    relay::dialect::api_by_name,
};

const NOW: Millis = Millis(1_800_000_000_000);

fn runs() -> Runs {
    Runs::new(None, 5, 3, Duration::from_hours(24))
}

fn identity(fingerprint: &str, key: Option<&str>) -> RunIdentity {
    RunIdentity { fingerprint: fingerprint.into(), key: key.map(Into::into), cursor: RunCursor::None, retry: false }
}

fn facts(id: &str, topic: &str, of: &RunIdentity) -> RunFacts {
    RunFacts {
        id: id.into(),
        topic: TopicName::new(topic).expect("valid"),
        owns_topic: false,
        provider: "openai".into(),
        model: "m".into(),
        api: api_by_name("openai.chat").expect("there is one"),
        holder: None,
        fingerprint: of.fingerprint.clone(),
        key: of.key.clone(),
        request_bytes: 1,
    }
}

fn at(seq: u64) -> EventId {
    EventId { epoch: Epoch::new("abcd").expect("valid"), seq: Seq(seq) }
}

fn end(runs: &Runs, run: &Run, status: RunStatus) {
    run.update(|state| state.status = status);
    runs.ended(run);
}

#[test]
fn a_key_joins_its_run_in_any_state_and_refuses_another_request() {
    let runs = runs();
    let asked = identity("f", Some("k"));
    let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run");
    assert!(first.is_new);
    for status in [RunStatus::Running, RunStatus::Completed, RunStatus::Stopped, RunStatus::Interrupted] {
        end(&runs, &first.run, status);
        let again = runs.join(&asked, NOW, || unreachable!("it joins")).expect("a run");
        assert!(!again.is_new && again.run.facts.id == "r1", "{status:?}");
    }
    let other = identity("g", Some("k"));
    assert_eq!(runs.join(&other, NOW, || unreachable!()).unwrap_err(), JoinRefused::KeyReused);
    let day_later = Millis(NOW.0 + 24 * 3_600_000);
    assert!(runs.join(&other, day_later, || facts("r2", "b", &other)).expect("a run").is_new);
}

#[test]
fn the_key_of_a_run_that_never_began_is_free() {
    let runs = runs();
    let asked = identity("f", Some("k"));
    let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run");
    runs.withdraw(&first.run);
    let other = identity("g", Some("k"));
    assert!(runs.join(&other, NOW, || facts("r2", "a", &other)).expect("a run").is_new);
    assert_eq!((runs.running().len(), runs.get("r1").is_none()), (1, true));
}

#[test]
fn a_retry_without_a_key_joins_a_young_run_that_runs_or_is_complete() {
    let runs = runs();
    let asked = identity("f", None);
    let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
    let retry = RunIdentity { retry: true, ..asked.clone() };
    let joins = |now: u64| runs.table.lock().existing(&retry, Millis(now)).expect("not refused").is_some();
    assert!(joins(NOW.0) && joins(NOW.0 + 119_000) && !joins(NOW.0 + 120_000));
    for (status, joined) in [(RunStatus::Completed, true), (RunStatus::Truncated, false), (RunStatus::Stopped, false)] {
        end(&runs, &first, status);
        assert_eq!(joins(NOW.0), joined, "{status:?}");
    }
    let first_try = runs.join(&asked, NOW, || facts("r2", "a", &asked)).expect("a run");
    assert!(first_try.is_new, "it does not say that it is a retry");
}

#[test]
fn a_cursor_joins_the_run_that_has_it_and_no_other_begins() {
    let runs = runs();
    let asked = identity("f", None);
    let run = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
    run.update(|state| (state.first, state.last) = (Some(at(10)), Some(at(20))));
    let with = |cursor: Option<EventId>| {
        let cursor = cursor.map_or(RunCursor::Unknown, RunCursor::At);
        RunIdentity { cursor, ..asked.clone() }
    };
    let joined = |cursor| runs.join(&with(cursor), NOW, || unreachable!("it joins or is refused"));
    assert_eq!(joined(Some(at(12))).expect("a run").after, Some(at(12)));
    assert_eq!(joined(Some(at(21))).expect("it runs").after, Some(at(21)));
    for cursor in [None, Some(at(9))] {
        assert_eq!(joined(cursor).unwrap_err(), JoinRefused::CursorUnknown);
    }
    end(&runs, &run, RunStatus::Completed);
    assert_eq!(joined(Some(at(21))).unwrap_err(), JoinRefused::CursorUnknown);
    let elsewhere = RunIdentity { fingerprint: "g".into(), ..with(Some(at(12))) };
    assert_eq!(runs.join(&elsewhere, NOW, || unreachable!()).unwrap_err(), JoinRefused::CursorUnknown);
}

#[test]
fn a_topic_has_one_running_run_and_the_hub_a_limited_number() {
    let runs = runs();
    let join = |id: &str, topic: &str| {
        let asked = identity(id, None);
        runs.join(&asked, NOW, || facts(id, topic, &asked)).map(|joined| joined.run)
    };
    let first = join("r1", "chat").expect("a run");
    assert_eq!(join("r2", "chat").unwrap_err(), JoinRefused::TopicBusy("r1".into()));
    end(&runs, &first, RunStatus::Completed);
    join("r3", "chat").expect("it is free");
    join("r4", "b").expect("a run");
    join("r5", "c").expect("a run");
    assert_eq!(join("r6", "d").unwrap_err(), JoinRefused::TooMany(3));
    let topic = TopicName::new("chat").expect("valid");
    assert_eq!(runs.active(&topic).map(|run| run.facts.id.clone()).as_deref(), Some("r3"));
}

#[test]
fn the_newest_run_of_a_topic_is_known_until_it_is_forgotten() {
    let runs = runs();
    let join = |id: &str, topic: &str| {
        let asked = identity(id, None);
        let run = runs.join(&asked, NOW, || facts(id, topic, &asked)).expect("a run").run;
        end(&runs, &run, RunStatus::Completed);
        run
    };
    let first = join("r1", "chat");
    join("r2", "other");
    let last = join("r3", "chat");
    let chat = TopicName::new("chat").expect("valid");
    let newest = || runs.newest(&chat).map(|run| run.facts.id.clone());
    assert_eq!(newest().as_deref(), Some("r3"));
    runs.forget(&last);
    assert_eq!(newest().as_deref(), Some("r1"));
    runs.forget(&first);
    assert_eq!(newest(), None);
    assert!(runs.table.lock().newest.len() == 1, "nothing is kept for a topic without runs");
}

#[test]
fn the_oldest_runs_that_have_ended_are_forgotten_by_number_and_by_age() {
    let runs = runs();
    for n in 0..7_u64 {
        let asked = identity(&n.to_string(), Some(&n.to_string()));
        let run = runs.join(&asked, Millis(NOW.0 + n), || facts(&format!("r{n}"), &format!("t{n}"), &asked));
        let run = run.expect("a run").run;
        if n != 0 {
            end(&runs, &run, RunStatus::Completed);
        }
    }
    let ids = || runs.list(None, 10, |_| true).iter().map(|run| run.facts.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(), ["r6", "r5", "r4", "r3", "r0"], "r0 runs");
    let page = runs.list(Some("r5"), 2, |_| true);
    assert_eq!(page.iter().map(|run| run.facts.id.as_str()).collect::<Vec<_>>(), ["r4", "r3"]);
    end(&runs, &runs.get("r0").expect("it runs"), RunStatus::Completed);
    runs.sweep(Millis(NOW.0 + 24 * 3_600_000 + 4));
    assert_eq!(ids(), ["r6", "r5"]);
    let RunTable { by_id, by_key, by_fingerprint, active, .. } = &*runs.table.lock();
    assert_eq!((by_id.len(), by_key.len(), by_fingerprint.len(), active.len()), (2, 2, 2, 0));
}

#[test]
fn a_response_id_finds_its_run_as_long_as_it_is_known() {
    let runs = runs();
    let asked = identity("f", None);
    let run = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
    assert!(runs.name_response(&run, "resp_1") && !runs.name_response(&run, "resp_1"));
    assert_eq!(runs.of_response("resp_1").map(|run| run.facts.id.clone()).as_deref(), Some("r1"));
    let later = runs.join(&asked, NOW, || facts("r2", "b", &asked)).expect("a run").run;
    assert!(runs.name_response(&later, "resp_1"));
    runs.forget(&run);
    assert_eq!(runs.of_response("resp_1").map(|run| run.facts.id.clone()).as_deref(), Some("r2"));
    runs.forget(&later);
    assert!(runs.of_response("resp_1").is_none());
}
