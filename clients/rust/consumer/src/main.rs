//! Runs clients/vectors/*.json, whose format is in clients/vectors/README.md, and the programs of the client's README, with the
//! client against the real hub.
//!
//! `GAPLESS_BIN` is the hub's program, `GAPLESS_VECTORS` the directory. Arguments: names of scenarios.

mod consumer;
mod hub;
mod matching;
mod proxy;
mod publishing;
mod readme;
mod scenario;

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

/// What goes wrong in a scenario.
type Failure = String;

/// Scenarios at once.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all_passed = runtime.block_on(run());
    // Streams that were dropped may still try to send.
    runtime.shutdown_background();
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run() -> bool {
    let place = PathBuf::from(std::env::var_os("GAPLESS_VECTORS").expect("GAPLESS_VECTORS"));
    let named: Vec<String> = std::env::args().skip(1).collect();
    let mut files: Vec<Value> = fs::read_dir(&place)
        .expect("the vectors")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON"))
        .filter(|file: &Value| named.is_empty() || named.iter().any(|name| file["name"] == **name))
        .collect();
    files.sort_by_key(|file| file["name"].to_string());
    assert!(files.len() >= named.len().max(1), "there are not all of {named:?} in {}", place.display());
    let (permits, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for file in files {
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let outcome = scenario::Scenario::run(&file).await;
            let told = format!("{}: {}", file["name"].as_str().unwrap_or("?"), file["promise"].as_str().unwrap_or("?"));
            match &outcome {
                Ok(()) => println!("ok      {told}"),
                Err(failure) => println!("FAILED  {told}\n        {failure}"),
            }
            outcome.is_ok()
        });
    }
    if named.is_empty() {
        running.spawn(async {
            let outcome = readme::run().await;
            match &outcome {
                Ok(()) => println!("ok      the programs of the README do what it says"),
                Err(failure) => println!("FAILED  the programs of the README\n        {failure}"),
            }
            outcome.is_ok()
        });
    }
    let outcomes = running.join_all().await;
    let passed = outcomes.iter().filter(|passed| **passed).count();
    println!("{passed} passed, {} failed", outcomes.len() - passed);
    passed == outcomes.len()
}
