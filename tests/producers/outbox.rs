//! `outbox.sql` and `outbox.py`, with a PostgreSQL of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    child::Child,
    recipe::{self, heard, said},
    support::{eventually, hub::Hub},
};

/// A running server with the recipe's table.
struct Postgres {
    _server: Child,
    directory: TempDir,
}

/// Debian keeps the programs out of the PATH.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().map_while(Result::ok);
    let found = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

/// The server refuses to run as root.
fn as_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Postgres {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (place, data) = (directory.path(), directory.path().join("data"));
        if rustix::process::geteuid().is_root() {
            assert!(Command::new("chown").arg("postgres").arg(place).status().unwrap().success());
        }
        let mut initdb = as_user(&program("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--username=app", "--no-locale", "--encoding=UTF8", "-D"]).arg(&data);
        let made = initdb.current_dir(place).output().unwrap_or_else(|error| panic!("{error}; run `make install`"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = as_user(&program("postgres"));
        server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-D"]).arg(&data).arg("-k").arg(place);
        // Its log is of no use here.
        let server = Child::spawn(server.current_dir(place).stderr(Stdio::null()));
        let postgres = Self { _server: server, directory };
        eventually("the server takes connections", || postgres.psql(&["-c", "SELECT 1"]).is_ok());
        postgres.psql(&["-f", &recipe::path("outbox.sql")]).unwrap();
        postgres
    }

    fn url(&self) -> String {
        format!("postgresql://app@/postgres?host={}", self.directory.path().display())
    }

    fn psql(&self, arguments: &[&str]) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args([&self.url(), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(arguments);
        let output = psql.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn forward(&self, hub: &Hub) -> Child {
        Child::spawn(recipe::python(hub, &recipe::path("outbox.py")).arg(self.url()))
    }

    fn waiting(&self) -> String {
        self.psql(&["-c", "SELECT count(*) FROM outbox"]).unwrap().trim().to_owned()
    }
}

#[test]
fn each_committed_row_is_published_once_over_kills_of_the_forwarder_and_of_the_hub() {
    let postgres = Postgres::start();
    let mut hub = recipe::hub();
    let mut forwarder = postgres.forward(&hub);
    // One order a transaction; every seventh is rolled back.
    let transaction = |order| {
        let end = if order % 7 == 0 { "ROLLBACK" } else { "COMMIT" };
        let insert = "INSERT INTO outbox (topic, event, data) VALUES ('orders', 'placed'";
        format!("BEGIN; {insert}, '{{\"order\": {order}}}'); {end};\nSELECT pg_sleep(0.005);\n")
    };
    for round in 0..6 {
        let orders: String = (round * 50..(round + 1) * 50).map(transaction).collect();
        let file = postgres.directory.path().join("orders.sql");
        fs::write(&file, orders).unwrap();
        let mut shop =
            Child::spawn(Command::new(program("psql")).arg(postgres.url()).args(["-X", "-q", "-f"]).arg(&file));
        eventually("some orders are there", || heard(&hub, "orders").len() > round * 43 + 10);
        if round == 3 {
            hub.kill();
            thread::sleep(Duration::from_millis(300));
            hub = hub.again();
        } else {
            forwarder.signal("KILL");
            forwarder = postgres.forward(&hub);
        }
        eventually("the shop is done", || shop.exit_code() == Some(0));
    }
    eventually("the outbox is empty", || postgres.waiting() == "0");
    let want = (0..300).filter(|order| order % 7 != 0).map(|order| ("placed", json!({ "order": order })));
    let spaced = |data: serde_json::Value| data.to_string().replace(':', ": ");
    assert_eq!(heard(&hub, "orders"), said(want.map(|(name, data)| (name, spaced(data)))));
}

#[test]
fn a_row_whose_publish_was_cut_from_its_delete_is_not_published_again() {
    let postgres = Postgres::start();
    let hub = recipe::hub();
    postgres.psql(&["-c", "INSERT INTO outbox (topic, data) VALUES ('orders', '1'), ('orders', '2')"]).unwrap();
    // Nothing can be deleted, so the forwarder ends after its first receipt, as if it was killed there.
    postgres.psql(&["-c", "CREATE RULE keep AS ON DELETE TO outbox DO INSTEAD SELECT 1 / 0"]).unwrap();
    for _ in 0..2 {
        let mut forwarder = postgres.forward(&hub);
        eventually("it ends", || forwarder.exit_code().is_some());
        assert_eq!(heard(&hub, "orders"), said([("message", "1")]));
    }
    postgres.psql(&["-c", "DROP RULE keep ON outbox"]).unwrap();
    let (_forwarder, _other) = (postgres.forward(&hub), postgres.forward(&hub));
    eventually("the outbox is empty", || postgres.waiting() == "0");
    assert_eq!(heard(&hub, "orders"), said([("message", "1"), ("message", "2")]));
}
