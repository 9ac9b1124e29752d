//! The programs of the client's README.

use serde_json::json;
use tokio::process::Command;

use crate::{Failure, hub::HubProcess};

/// Runs them one after the other with one hub: the second reads what the first has published.
pub(crate) async fn run() -> Result<(), Failure> {
    let mut hub = HubProcess::new().await;
    hub.start(&[], false).await?;
    let published = program(&hub, 1).await?;
    says(&published, r#"Some("precondition-failed") Some("#)?;
    let subscribed = program(&hub, 2).await?;
    for line in [r#"progress {"done":1,"of":2}"#, r#"progress {"done":2,"of":2}"#, "no more events: jobs/7 closed"] {
        says(&subscribed, line)?;
    }
    program(&hub, 3).await?;
    let (_, page) =
        hub.request("GET", "/events?topic=answers/42&from=earliest&limit=9", None, None, "application/json").await?;
    let data: Vec<_> = page["events"].as_array().into_iter().flatten().map(|event| &event["data"]).collect();
    if json!(data) == json!(["Hel", "lo", "!", ""]) && page["closed"] == true { Ok(()) } else { Err(page.to_string()) }
}

/// What a program prints.
async fn program(hub: &HubProcess, number: u32) -> Result<String, Failure> {
    let path = std::env::current_exe().expect("a path").with_file_name(format!("readme-{number}"));
    let output = Command::new(path).env("HUB_URL", format!("http://127.0.0.1:{}", hub.port)).output().await;
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("program {number}: {said}")) }
}

fn says(text: &str, want: &str) -> Result<(), Failure> {
    if text.contains(want) { Ok(()) } else { Err(format!("there is no {want} in {text}")) }
}
