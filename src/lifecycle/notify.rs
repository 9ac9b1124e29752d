//! Messages to the service manager that started the process: the protocol of sd_notify(3).
//!
//! systemd names a datagram socket in `NOTIFY_SOCKET`; a message is one datagram of `NAME=VALUE` lines. The protocol is
//! stable and documented, and a message is a single send, so this is written here and not taken from a crate.

use std::{
    env,
    ffi::OsStr,
    fmt, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Longest wait for a service manager that does not read its socket. The kernel queues some dozen datagrams, so a wait
/// means that the manager hangs.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest text of a `STATUS=` line, in bytes: one line of a terminal, and far below systemd's 4 KiB for a message.
const STATUS_BYTES: usize = 400;

/// The service manager's socket. Cheap to clone; every method does nothing where there is no service manager.
#[derive(Debug, Clone, Default)]
pub struct NotifySocket(Option<Arc<Connected>>);

#[derive(Debug)]
struct Connected {
    socket: UnixDatagram,
    /// A failure is logged once.
    failed: AtomicBool,
}

/// One message: several lines that take effect together.
#[derive(Debug, Default)]
pub struct ManagerMessage(String);

/// The environment names a socket that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("NOTIFY_SOCKET is {socket:?}, which cannot be used: {source}; systemd sets it, so do not set it yourself")]
pub struct NotifyError {
    socket: String,
    source: io::Error,
}

impl NotifySocket {
    /// The socket that `NOTIFY_SOCKET` names; none without it.
    ///
    /// # Errors
    /// When it cannot be connected to.
    pub fn of_process() -> Result<Self, NotifyError> {
        match env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::connect(&name)
                .map_err(|source| NotifyError { socket: name.to_string_lossy().into_owned(), source }),
            _ => Ok(Self::default()),
        }
    }

    /// Connects to `name`: a path, or `@` and the name of an abstract socket.
    fn connect(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self(Some(Arc::new(Connected { socket, failed: AtomicBool::new(false) }))))
    }

    /// Whether there is a service manager.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_some()
    }

    /// Sends `message`. Blocks for at most a second. The first failure is logged, and nothing else follows from it: a hub
    /// that serves does not end because its service manager does not listen.
    pub fn send(&self, message: &ManagerMessage) {
        let Some(connected) = &self.0 else { return };
        if let Err(error) = connected.socket.send(message.0.as_bytes())
            && !connected.failed.swap(true, Relaxed)
        {
            tracing::warn!(error = %error, "cannot notify the service manager");
        }
    }
}

impl ManagerMessage {
    /// The process serves; or has reloaded.
    #[must_use]
    pub fn ready(self) -> Self {
        self.line(format_args!("READY=1"))
    }

    /// The process reloads its configuration, until the next [`ready`](Self::ready).
    #[must_use]
    pub fn reloading(self) -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // systemd 253 and later compare it with the time of their own request.
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.line(format_args!("RELOADING=1")).line(format_args!("MONOTONIC_USEC={micros}"))
    }

    /// The process ends.
    #[must_use]
    pub fn stopping(self) -> Self {
        self.line(format_args!("STOPPING=1"))
    }

    /// The process is alive.
    #[must_use]
    pub fn alive(self) -> Self {
        self.line(format_args!("WATCHDOG=1"))
    }

    /// The start, or the stop, may take until `time` from now, also where the unit allows less.
    #[must_use]
    pub fn extend(self, time: Duration) -> Self {
        self.line(format_args!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
    }

    /// A line for `systemctl status`. Cut after 400 bytes; a line break in it becomes a space.
    #[must_use]
    pub fn status(self, text: &str) -> Self {
        let end = text.floor_char_boundary(STATUS_BYTES);
        let text: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line(format_args!("STATUS={text}"))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn line(mut self, line: fmt::Arguments<'_>) -> Self {
        fmt::Write::write_fmt(&mut self.0, format_args!("{line}\n")).expect("memory");
        self
    }
}

/// The time after which the service manager kills a process that has not said that it is alive (`WATCHDOG_USEC`); `None`
/// where it does not watch this process.
#[must_use]
pub fn watchdog_time() -> Option<Duration> {
    let variable = |name| env::var(name).ok();
    watchdog_time_of(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), std::process::id())
}

/// `pid` is the value of `WATCHDOG_PID`: a process may inherit the variables of another one.
fn watchdog_time_of(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros?.parse().ok().filter(|micros| ours && *micros > 0)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut bytes = [0; 4096];
        let count = socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..count].to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_message_is_one_datagram_to_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let abstract_name = format!("gapless-test-{:016x}", fastrand::u64(..));
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
        for (manager, name) in [
            (UnixDatagram::bind(&path).expect("free"), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&address).expect("free"), format!("@{abstract_name}").into()),
        ] {
            let notify = NotifySocket::connect(&name).expect("it listens");
            notify.send(&ManagerMessage::default().ready().status("two\nlines").alive());
            assert_eq!(received(&manager), "READY=1\nSTATUS=two lines\nWATCHDOG=1\n");
        }
        assert!(NotifySocket::connect(OsStr::new("vsock:2:1")).is_err());
    }

    #[test]
    fn a_manager_that_is_gone_or_that_does_not_read_stops_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("free");
        let notify = NotifySocket::connect(path.as_os_str()).expect("it listens");
        let filler = UnixDatagram::unbound().expect("a socket");
        filler.connect(&path).expect("it listens");
        filler.set_nonblocking(true).expect("a socket");
        while filler.send(b"x").is_ok() {}
        notify.send(&ManagerMessage::default().ready());
        drop(manager);
        notify.send(&ManagerMessage::default().ready());
        NotifySocket::default().send(&ManagerMessage::default().ready());
    }

    #[test]
    fn a_status_is_one_short_line() {
        let long = "é".repeat(STATUS_BYTES);
        let ManagerMessage(text) = ManagerMessage::default().status(&long);
        assert_eq!(text, format!("STATUS={}\n", "é".repeat(STATUS_BYTES / 2)));
    }

    #[test]
    fn the_watchdog_is_of_this_process_only() {
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(watchdog_time_of(Some("60000000"), Some("7"), 7), seconds(60));
        assert_eq!(watchdog_time_of(Some("60000000"), None, 7), seconds(60));
        for (micros, pid) in [(Some("60000000"), Some("8")), (Some("0"), None), (Some("soon"), None), (None, Some("7"))]
        {
            assert_eq!(watchdog_time_of(micros, pid, 7), None, "{micros:?} {pid:?}");
        }
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let ManagerMessage(text) = ManagerMessage::default().reloading();
        let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both");
        assert!(micros.trim_end().parse::<u64>().expect("a number") > 0, "{text}");
    }
}
