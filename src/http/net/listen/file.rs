//! The file of a Unix socket.
//!
//! It is created under a temporary name, gets its permissions before it accepts connections, and is renamed once it
//! listens. So it replaces a stale file atomically, and never exists under its name without being served.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// A socket that is bound but does not listen yet.
#[derive(Debug)]
pub(super) struct BoundSocketFile {
    socket: Socket,
    path: PathBuf,
    /// The file under its temporary name.
    file: SocketFile,
}

/// The file of a socket. Dropping it removes the file, unless another one has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl BoundSocketFile {
    /// Binds a socket for `path`, with these permissions.
    ///
    /// # Errors
    /// When another process listens there, when the path is another kind of file, or when the directory cannot be used.
    pub(super) fn new(path: &Path, mode: u32) -> io::Result<Self> {
        check_free(path)?;
        // Short, because a socket's path has at most 107 bytes; random, because process ids repeat across containers.
        let temporary = path.with_file_name(format!(".gapless-{:08x}", fastrand::u32(..)));
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&temporary)?)?;
        let file = SocketFile::of(temporary)?;
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode))?;
        Ok(Self { socket, path: path.into(), file })
    }

    /// The path that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens, and renames the file to its path. The kernel queues `backlog` connections until they are accepted.
    ///
    /// # Errors
    /// When another process has started to listen there since.
    pub(super) fn listen(self, backlog: i32) -> io::Result<(UnixListener, SocketFile)> {
        let Self { socket, path, mut file } = self;
        check_free(&path)?;
        socket.listen(backlog)?;
        fs::rename(&file.path, &path)?;
        file.path = path;
        Ok((socket.into(), file))
    }
}

/// Succeeds when a socket may be created at `path`: nothing exists there, or a stale socket without a listener, as
/// after `kill -9`.
fn check_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            let text = "the file there is no socket; remove it, or choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Nonblocking, because connecting to a busy listener would wait.
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
            // If that fails, the next hub replaces the stale file.
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
    fn it_exists_only_while_it_listens_and_with_its_permissions() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hub");
        let bound = BoundSocketFile::new(&path, 0o620).expect("free");
        assert!(UnixStream::connect(&path).is_err());
        let (_socket, file) = bound.listen(1).expect("free");
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
        let (_socket, temporary) = BoundSocketFile::new(&path, 0o600).expect("stale").listen(1).expect("stale");
        fs::remove_file(&path).expect("there");
        let (_other, second) = BoundSocketFile::new(&path, 0o600).expect("free").listen(1).expect("free");
        drop(temporary);
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
