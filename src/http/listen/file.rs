//! A Unix socket's file.
//!
//! It is made under another name, with its permissions set before anybody may connect, and renamed into its place when it
//! listens: so it replaces a stale one in one step, and is never there without being served.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// A socket that is bound and does not listen yet.
#[derive(Debug)]
pub(super) struct BoundSocketFile {
    socket: Socket,
    path: PathBuf,
    /// Under its first name.
    file: SocketFile,
}

/// A socket's file. Removed when it is dropped, unless another one has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl BoundSocketFile {
    /// Prepares a socket for `path`, with these permissions.
    ///
    /// # Errors
    /// When somebody listens there, when something else is there, or when the directory cannot be used.
    pub(super) fn new(path: &Path, mode: u32) -> io::Result<Self> {
        vacant(path)?;
        // Short, because a socket's path has 107 bytes at most, and random, because pids repeat across containers.
        let first = path.with_file_name(format!(".gapless-{:08x}", fastrand::u32(..)));
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&first)?)?;
        let file = SocketFile::of(first)?;
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode))?;
        Ok(Self { socket, path: path.into(), file })
    }

    /// Where it will listen.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens, in its place.
    ///
    /// # Errors
    /// When somebody else has come to listen there since.
    pub(super) fn listen(self) -> io::Result<(UnixListener, SocketFile)> {
        let Self { socket, path, mut file } = self;
        vacant(&path)?;
        socket.listen(super::BACKLOG)?;
        fs::rename(&file.path, &path)?;
        file.path = path;
        Ok((socket.into(), file))
    }
}

/// Whether a socket may be put at `path`: nothing is there, or a socket that nobody listens on any more, as after `kill -9`.
fn vacant(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            let text = "there is a file that is no socket; remove it, or choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener that is too busy must not make us wait.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

impl SocketFile {
    fn of(path: PathBuf) -> io::Result<Self> {
        let there = fs::symlink_metadata(&path)?;
        Ok(Self { path, identity: (there.dev(), there.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = |there: fs::Metadata| (there.dev(), there.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(same) {
            // Left behind it is a stale one, which the next hub replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable");
        entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn it_is_there_only_while_it_listens_and_only_for_those_it_is_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hub");
        let bound = BoundSocketFile::new(&path, 0o620).expect("free");
        assert!(UnixStream::connect(&path).is_err());
        let (_socket, file) = bound.listen().expect("free");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o620);
        UnixStream::connect(&path).expect("it listens");
        assert_eq!(BoundSocketFile::new(&path, 0o600).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        assert_eq!(names(directory.path()), ["hub"]);
        drop(file);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hub");
        drop(UnixListener::bind(&path).expect("free"));
        let (_socket, first) = BoundSocketFile::new(&path, 0o600).expect("stale").listen().expect("stale");
        fs::remove_file(&path).expect("there");
        let (_other, second) = BoundSocketFile::new(&path, 0o600).expect("free").listen().expect("free");
        drop(first);
        assert!(path.exists(), "it is another one's by now");
        drop(second);
        let file = directory.path().join("file");
        fs::write(&file, "kept").expect("writable");
        std::os::unix::fs::symlink(&file, &path).expect("free");
        for path in [&file, &path] {
            assert_eq!(BoundSocketFile::new(path, 0o600).expect_err("no socket").kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read_to_string(&file).expect("there"), "kept");
    }

    #[test]
    fn one_that_never_listened_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        drop(BoundSocketFile::new(&directory.path().join("hub"), 0o600).expect("free"));
        assert_eq!(names(directory.path()), [""; 0]);
    }
}
