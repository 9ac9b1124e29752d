//! Starting a recipe.

use std::{fs, path::Path, process::Command};

use crate::{
    child::{here, tool},
    support::{hub::Hub, tokens},
};

/// A hub that takes events only with the recipes' token.
pub(crate) fn hub() -> Hub {
    let known = tokens(&[("producer", "publish = [\"**\"], subscribe = [\"**\"]")]);
    Hub::start_with(&["--access-tokens", &known, "--access-anyone-subscribe", "**"])
}

/// The path of a recipe.
pub(crate) fn path(name: &str) -> String {
    here(&format!("examples/producers/{name}"))
}

/// A recipe with the hub's URL, its token, and `gapless` on its path.
pub(crate) fn command(hub: &Hub, name: &str) -> Command {
    with_hub(Command::new(path(name)), hub)
}

/// A recipe in Python, or a script of ours that uses one.
pub(crate) fn python(hub: &Hub, path: &str) -> Command {
    let python = here("target/producers-venv/bin/python");
    assert!(Path::new(&python).exists(), "{python} is not here: run `make install`");
    let mut command = with_hub(Command::new(python), hub);
    command.arg(path).env("PYTHONPATH", python_path()).env("PYTHONUNBUFFERED", "1");
    command
}

/// Where Python finds the recipes, and our client as it is in this tree.
pub(crate) fn python_path() -> String {
    [here("examples/producers"), here("clients/python/src"), here("tests/producers")].join(":")
}

/// A recipe in JavaScript, or a script of ours: seen beside the packages that it needs.
pub(crate) fn node(hub: &Hub, directory: &Path, path: &str) -> Command {
    let packages = here("tests/producers/node_modules");
    assert!(Path::new(&packages).exists(), "{packages} is not here: run `make install`");
    let script = directory.join(Path::new(path).file_name().unwrap());
    if !script.exists() {
        std::os::unix::fs::symlink(path, &script).unwrap();
    }
    if !directory.join("node_modules").exists() {
        std::os::unix::fs::symlink(packages, directory.join("node_modules")).unwrap();
    }
    let mut command = with_hub(Command::new(tool("node")), hub);
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(script);
    command
}

fn with_hub(mut command: Command, hub: &Hub) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_gapless")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("GAPLESS_URL", hub.url()).env("GAPLESS_TOKEN", "producer-token");
    command
}

/// Name and data of every kept event.
pub(crate) fn heard(hub: &Hub, topic: &str) -> Vec<(String, String)> {
    let page = hub.page(&format!("topic={topic}&from=earliest&limit=1000"));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let events = page["events"].as_array().unwrap().iter();
    events.map(|event| (text(&event["event"]), text(&event["data"]))).collect()
}

/// The same, as expected.
pub(crate) fn said<N: Into<String>, D: Into<String>>(
    events: impl IntoIterator<Item = (N, D)>,
) -> Vec<(String, String)> {
    events.into_iter().map(|(name, data)| (name.into(), data.into())).collect()
}

/// A directory of the test's own.
pub(crate) fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("work")).unwrap();
    directory
}
