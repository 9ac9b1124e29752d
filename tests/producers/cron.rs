//! `cron.sh`

use std::{fs, process::Command, thread, time::Duration};

use crate::{
    child::Child,
    recipe::{self, heard, said},
    support::{eventually, hub::Hub},
};

fn cron(hub: &Hub, script: &str) -> Command {
    let mut command = recipe::command(hub, "cron.sh");
    command.args(["cron/backup", "sh", "-c", script]);
    command
}

#[test]
fn start_output_and_exit_code_are_published_in_order() {
    let hub = recipe::hub();
    let output = cron(&hub, "echo one; echo two >&2; printf three; exit 3").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "cron would mail it");
    let start = "sh -c echo one; echo two >&2; printf three; exit 3";
    let want = [("start", start), ("output", "one"), ("output", "two"), ("output", "three"), ("end", "3")];
    assert_eq!(heard(&hub, "cron/backup"), said(want));
}

#[test]
fn a_hub_that_is_killed_while_the_command_runs_has_every_line_once() {
    let mut hub = recipe::hub();
    let script = "i=0; while [ $i -lt 60 ]; do i=$((i + 1)); echo line $i; sleep 0.05; done";
    let mut job = Child::spawn(&mut cron(&hub, script));
    for lines in [10, 20] {
        eventually("some lines are there", || heard(&hub, "cron/backup").len() > lines);
        hub.kill();
        thread::sleep(Duration::from_millis(300));
        hub = hub.again();
    }
    eventually("the job ends", || job.exit_code().is_some());
    assert_eq!(job.exit_code(), Some(0));
    let lines = (1..=60).map(|i| ("output", format!("line {i}")));
    let want = [("start", format!("sh -c {script}"))].into_iter().chain(lines).chain([("end", "0".into())]);
    assert_eq!(heard(&hub, "cron/backup"), said(want));
}

#[test]
fn a_hub_that_is_down_delays_no_command_and_is_told_afterwards() {
    let directory = recipe::directory();
    let file = directory.path().join("done");
    let mut hub = recipe::hub();
    hub.kill();
    let mut job = Child::spawn(&mut cron(&hub, &format!("echo {0}; touch {0}", file.display())));
    eventually("the command runs", || file.exists());
    assert_eq!(job.exit_code(), None);
    hub = hub.again();
    eventually("the job ends", || job.exit_code().is_some());
    let events: Vec<String> = heard(&hub, "cron/backup").into_iter().map(|(name, _)| name).collect();
    assert_eq!(events, ["start", "output", "end"]);
    drop(fs::remove_file(file));
}

#[test]
fn a_refusal_leaves_the_output_to_crons_mail() {
    let hub = Hub::start();
    hub.put("cron/backup", "{\"closed\":true}");
    let mut command = cron(&hub, "echo important; exit 4");
    // Refused for good; the recipe tries for five minutes, and only a shorter wait between tries is the test's.
    let shell = recipe::directory();
    let sleep = shell.path().join("sleep");
    fs::write(&sleep, "#!/bin/sh\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&sleep).status().unwrap().success());
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    let output = command.env("PATH", format!("{}:{}", shell.path().display(), path.display())).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "important\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is closed"));
}

#[test]
fn a_line_that_is_no_text_is_mailed_and_all_else_is_published() {
    let hub = recipe::hub();
    let script = r"echo one; printf '\377\n'; echo two";
    let output = cron(&hub, script).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"one\n\xff\ntwo\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"), "{output:?}");
    let start = format!("sh -c {script}");
    let want = [("start", &*start), ("output", "one"), ("output", "two"), ("end", "0")];
    assert_eq!(heard(&hub, "cron/backup"), said(want));
}
