//! `journal.sh`, with a systemd-journald of the test's own.

use std::{process::Command, thread, time::Duration};

use serde_json::Value;

use crate::{
    child::{Child, tool},
    recipe::{self, heard},
    support::{eventually, hub::Hub},
};

/// The daemon with its own /run, into which programs are brought by `nsenter`.
struct Journal {
    daemon: Child,
}

impl Journal {
    /// None where this machine lets us make no mounts.
    fn start() -> Option<Self> {
        let may = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"]).output();
        if !rustix::process::geteuid().is_root() || !may.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: it needs root and namespaces");
            return None;
        }
        let script = "mount -t tmpfs tmpfs /run; [ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
            mkdir -p /run/systemd/journal; exec /usr/lib/systemd/systemd-journald";
        let daemon = Child::spawn(Command::new("unshare").args(["--mount", "sh", "-ec", script]));
        let journal = Self { daemon };
        eventually("the journal takes entries", || {
            journal.inside(Command::new("systemd-cat").args(["-t", "ready", "true"]))
        });
        Some(journal)
    }

    /// Writes a line of the identifier `app`; whether the journal has taken it. (`logger` says so also where there is no
    /// `/dev/log`.)
    fn say(&self, line: &str) -> bool {
        let script = "printf '%s\\n' \"$1\" | systemd-cat -t app";
        self.inside(Command::new("sh").args(["-c", script, "sh", line]))
    }

    /// Runs a program there; whether it succeeds.
    fn inside(&self, command: &mut Command) -> bool {
        self.enter(command).output().unwrap().status.success()
    }

    /// The same program, there.
    fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new(tool("nsenter"));
        entered.arg(format!("--mount=/proc/{}/ns/mnt", self.daemon.pid())).arg(command.get_program());
        entered.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        entered
    }

    /// Writes lines, one after the other, of the identifier `app`.
    fn write(&self, lines: std::ops::Range<u32>) {
        let script = "i=$1; while [ $i -lt $2 ]; do echo \"line $i\"; i=$((i + 1)); done | systemd-cat -t app";
        let numbers = [lines.start.to_string(), lines.end.to_string()];
        assert!(self.inside(Command::new("sh").args(["-c", script, "sh"]).args(numbers)));
    }

    /// The recipe, for these entries.
    fn forward(&self, hub: &Hub) -> Child {
        let mut recipe = recipe::command(hub, "journal.sh");
        Child::spawn(&mut self.enter(recipe.args(["logs/app", "-t", "app"])))
    }
}

fn messages(hub: &Hub) -> Vec<String> {
    let events = heard(hub, "logs/app").into_iter();
    events.map(|(_, data)| serde_json::from_str::<Value>(&data).unwrap()["MESSAGE"].as_str().unwrap().into()).collect()
}

#[test]
fn entries_are_published_once_over_kills_of_the_hub_and_of_the_forwarder() {
    let Some(journal) = Journal::start() else { return };
    let mut hub = recipe::hub();
    journal.write(0..100);
    let forwarder = journal.forward(&hub);
    eventually("the old entries are there", || messages(&hub).len() == 100);
    hub.kill();
    journal.write(100..200);
    thread::sleep(Duration::from_millis(300));
    hub = hub.again();
    eventually("those of the meantime are there", || messages(&hub).len() == 200);
    forwarder.signal("KILL");
    // A text that looks like a place in the journal is none.
    let text = "{\"__CURSOR\":\"s=1\"} and ,\"__CURSOR\":\"s=2\",";
    assert!(journal.say(text));
    let forwarder = journal.forward(&hub);
    eventually("it is the newest", || messages(&hub).len() == 201);
    forwarder.signal("KILL");
    for round in 2..5 {
        let forwarder = journal.forward(&hub);
        eventually("it goes on", || messages(&hub).len() > round as usize * 100);
        journal.write(round * 100..(round + 1) * 100);
        eventually("it is under way", || messages(&hub).len() > round as usize * 100 + 1);
        forwarder.signal("KILL");
    }
    let _forwarder = journal.forward(&hub);
    eventually("all are there", || messages(&hub).len() >= 501);
    let mut want: Vec<String> = (0..500).map(|line| format!("line {line}")).collect();
    want.insert(200, text.into());
    assert_eq!(messages(&hub), want);
}
