//! `ci-github.yml` and `ci-gitlab.yml`, their shell steps run as the runners run them, with `ci.sh`.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use crate::{
    child::Child,
    recipe::{self, heard, said},
    support::{eventually, hub::Hub},
};

/// What the GitHub runner tells a job.
const GITHUB: [(&str, &str); 5] = [
    ("GITHUB_RUN_ID", "17"),
    ("GITHUB_RUN_ATTEMPT", "2"),
    ("GITHUB_REPOSITORY", "ada/engine"),
    ("GITHUB_JOB", "build"),
    ("GITHUB_SHA", "c0ffee"),
];

/// What the GitLab runner tells a job.
const GITLAB: [(&str, &str); 4] =
    [("CI_PROJECT_PATH", "ada/engine"), ("CI_JOB_ID", "18"), ("CI_JOB_STATUS", "failed"), ("CI_COMMIT_SHA", "c0ffee")];

/// The commands of a recipe: of each line that begins with `before`.
fn commands(file: &str, before: &str) -> Vec<String> {
    let text = fs::read_to_string(recipe::path(file)).unwrap();
    text.lines().filter_map(|line| line.trim().strip_prefix(before)).map(str::to_owned).collect()
}

/// One of them in a checkout, as the runner of GitHub runs it; that of GitLab has a script of all, with the same options.
fn step(hub: &Hub, checkout: &Path, command: &str, variables: &[(&str, &str)]) -> Command {
    fs::copy(recipe::path("ci.sh"), checkout.join("ci.sh")).unwrap();
    fs::write(checkout.join("Makefile"), "all:\n\t@true\ntest:\n\t@exit $(FAIL)\n").unwrap();
    let script = checkout.join("step.sh");
    fs::write(&script, command).unwrap();
    let mut runner = Command::new("bash");
    runner.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(script).current_dir(checkout);
    runner.env("GAPLESS_URL", hub.url()).env("GAPLESS_TOKEN", "producer-token").env_remove("GITHUB_RUN_ID");
    runner.envs(variables.iter().copied());
    runner
}

#[test]
fn a_job_of_github_whose_hub_is_killed_between_and_within_its_steps_is_told_once() {
    let checkout = recipe::directory();
    let mut hub = recipe::hub();
    for command in commands("ci-github.yml", "- run: ") {
        let command = command.replace("${{ job.status }}", "success");
        let mut running = Child::spawn(&mut step(&hub, checkout.path(), &command, &GITHUB));
        if command.contains("test\"}") {
            hub.kill();
            thread::sleep(Duration::from_secs(1));
            assert_eq!(running.exit_code(), None, "it waits for the hub");
            hub = hub.again();
        }
        eventually("the step ends", || running.exit_code().is_some());
        assert_eq!(running.exit_code(), Some(0), "{command}");
    }
    let want = [
        ("start", "c0ffee"),
        ("progress", "{\"done\":\"build\"}"),
        ("progress", "{\"done\":\"test\"}"),
        ("end", "success"),
    ];
    let topic = "ci/github/ada/engine/17-2/build";
    assert_eq!(heard(&hub, topic), said(want));
    assert_eq!(hub.topic(topic)["closed"], true);
}

#[test]
fn a_job_of_gitlab_that_fails_says_so_at_its_end() {
    let checkout = recipe::directory();
    let hub = recipe::hub();
    let commands = commands("ci-gitlab.yml", "- ");
    let (after, script) = commands.split_last().unwrap();
    let run = |commands: &[String]| {
        let mut running = step(&hub, checkout.path(), &commands.join("\n"), &GITLAB);
        running.env("FAIL", "1").status().unwrap().code()
    };
    assert_eq!(run(script), Some(2), "make's");
    assert_eq!(run(std::slice::from_ref(after)), Some(0));
    let want = [("start", "c0ffee"), ("progress", "{\"done\":\"build\"}"), ("end", "failed")];
    assert_eq!(heard(&hub, "ci/gitlab/ada/engine/18"), said(want));
}

#[test]
fn a_hub_that_refuses_fails_no_job_and_is_asked_once() {
    let checkout = recipe::directory();
    let mut hub = Hub::start_with(&["--access-anyone-subscribe", "**", "--log-level", "gapless=debug"]);
    let output = step(&hub, checkout.path(), "./ci.sh start x", &GITHUB).env_remove("GAPLESS_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("not published: start: ") && told.contains("needs a token"), "{told}");
    hub.end();
    eventually("the log is read", || hub.log().contains("outcome=Complete"));
    assert_eq!(hub.log().matches("refused a request").count(), 1, "{}", hub.log());
}
