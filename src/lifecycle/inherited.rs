//! Listening sockets that the service manager has opened and passed on: the protocol of sd_listen_fds(3).
//!
//! `LISTEN_FDS` is their number, `LISTEN_PID` the process that they are for, `LISTEN_FDNAMES` their names. They stay open in
//! the service manager when this process ends, so clients that connect meanwhile wait for the next process.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    os::{fd::AsFd, unix::net::UnixListener},
    path::PathBuf,
};

use listenfd::ListenFd;
use socket2::SockRef;

/// Most sockets: more than anybody has addresses. Each takes a descriptor for each core.
const MAX_SOCKETS: usize = 64;

/// A listening socket of the service manager, nonblocking.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Whom it is for.
    pub role: SocketRole,
    /// The socket.
    pub listener: InheritedListener,
}

/// Whom a socket is for, from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketRole {
    /// All clients.
    Public,
    /// Operators.
    Admin,
}

/// A listening socket of a kind that the hub serves, with its address.
#[derive(Debug)]
pub enum InheritedListener {
    /// TCP.
    Tcp(TcpListener, SocketAddr),
    /// A Unix socket with a file.
    Unix(UnixListener, PathBuf),
}

/// The sockets that were passed on cannot be used. `Display` says what to change in the socket unit.
#[derive(Debug, thiserror::Error)]
#[error("socket {name:?} of the service manager: {problem}")]
pub struct InheritedSocketError {
    /// The name that the service manager gave it.
    pub name: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Takes the sockets of this process. To be called once, before any other thread is started, because it also removes the
/// variables.
///
/// # Errors
/// The first socket that cannot be used.
pub fn take() -> Result<Vec<InheritedSocket>, InheritedSocketError> {
    // Required, although the crate accepts sockets without it: a process may inherit the variables of another one.
    let ours = env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id()));
    if !ours {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").ok();
    let count: usize = env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    if count > MAX_SOCKETS {
        let problem =
            format!("it is one of {count}, and at most {MAX_SOCKETS} are served; remove some ListenStream= lines");
        return Err(InheritedSocketError { name: names.unwrap_or_default().chars().take(80).collect(), problem });
    }
    let names = socket_names(names.as_deref(), count)?;
    let mut passed = ListenFd::from_env();
    (0..passed.len()).zip(names).map(|(index, name)| socket(&mut passed, index, &name)).collect()
}

/// The names of `count` sockets: without `LISTEN_FDNAMES` each is `unknown`, as sd_listen_fds_with_names(3) has it.
fn socket_names(names: Option<&str>, count: usize) -> Result<Vec<String>, InheritedSocketError> {
    let Some(text) = names else { return Ok(vec!["unknown".into(); count]) };
    let names: Vec<String> = text.split(':').map(Into::into).collect();
    if names.len() == count || count == 0 {
        return Ok(names);
    }
    // An admin listener must not become public because its name is missing.
    let problem = format!("LISTEN_FDNAMES has {} names for {count} sockets; name each of them", names.len());
    Err(InheritedSocketError { name: text.chars().take(80).collect(), problem })
}

fn socket(passed: &mut ListenFd, index: usize, name: &str) -> Result<InheritedSocket, InheritedSocketError> {
    let failed = |problem: String| InheritedSocketError { name: name.into(), problem };
    let unusable = |error: io::Error| failed(format!("it cannot be used: {error}"));
    let role = role_of(name).ok_or_else(|| {
        failed(
            "the name is neither public nor admin; set FileDescriptorName=public, or =admin for the admin listener"
                .into(),
        )
    })?;
    let listener = if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        check_listening(&tcp).map_err(failed)?;
        tcp.set_nonblocking(true).map_err(unusable)?;
        let address = tcp.local_addr().map_err(unusable)?;
        InheritedListener::Tcp(tcp, address)
    } else if let Ok(Some(unix)) = passed.take_unix_listener(index) {
        check_listening(&unix).map_err(failed)?;
        unix.set_nonblocking(true).map_err(unusable)?;
        let address = unix.local_addr().map_err(unusable)?;
        let path = address
            .as_pathname()
            .ok_or_else(|| failed("it has no path; write it like ListenStream=/run/gapless.sock".into()))?;
        InheritedListener::Unix(unix, path.into())
    } else {
        return Err(failed("it is neither a TCP socket nor a Unix stream socket; use ListenStream=".into()));
    };
    Ok(InheritedSocket { role, listener })
}

/// Whom a socket of this name is for. systemd names a socket after its unit unless `FileDescriptorName=` is set, and
/// systemd-socket-activate names it `unknown`. Any other name is an error: an admin listener whose name has a typing error
/// would otherwise become public.
fn role_of(name: &str) -> Option<SocketRole> {
    match name {
        "public" | "gapless.socket" | "unknown" => Some(SocketRole::Public),
        "admin" => Some(SocketRole::Admin),
        _ => None,
    }
}

/// A connected socket is passed with `Accept=yes`.
fn check_listening(socket: &impl AsFd) -> Result<(), String> {
    match SockRef::from(socket).is_listener() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is not listening; the socket unit must have Accept=no, which is the default".into()),
        Err(error) => Err(format!("it cannot be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_unknown_is_no_public_listener() {
        for name in ["public", "gapless.socket", "unknown"] {
            assert_eq!(role_of(name), Some(SocketRole::Public), "{name}");
        }
        assert_eq!(role_of("admin"), Some(SocketRole::Admin));
        for name in ["", "Admin", "admn", "gapless-admin.socket", "connection"] {
            assert_eq!(role_of(name), None, "{name}");
        }
    }

    #[test]
    fn sockets_have_no_names_or_each_has_one() {
        assert_eq!(socket_names(None, 2).expect("none"), ["unknown", "unknown"]);
        assert_eq!(socket_names(Some("public:admin"), 2).expect("two"), ["public", "admin"]);
        for (names, count) in [("admin", 2), ("public:admin", 1)] {
            let error = socket_names(Some(names), count).expect_err(names).to_string();
            assert!(error.contains(&format!("for {count} sockets")), "{error}");
        }
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port");
        assert_eq!(check_listening(&listening), Ok(()));
        let connected = std::net::TcpStream::connect(listening.local_addr().expect("bound")).expect("it listens");
        assert!(check_listening(&connected).expect_err("connected").contains("Accept=no"));
    }
}
