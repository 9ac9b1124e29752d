//! Redis of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use crate::{
    child::{Child, tool},
    support::eventually,
};

/// A running server, which is killed when dropped.
pub(crate) struct Redis {
    _process: Child,
    pub(crate) url: String,
}

impl Redis {
    pub(crate) fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tool("redis-server"));
        command.args(["--save", "", "--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(directory);
        let process = Child::spawn(&mut command);
        eventually("redis listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _process: process, url: format!("redis://127.0.0.1:{port}") }
    }
}
