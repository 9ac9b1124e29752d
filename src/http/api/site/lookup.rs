//! A path of the site becomes an open file, and never one outside of the site's directory.
//!
//! The names of the path are decoded once and checked; then the path is resolved, with all symbolic links; the result must
//! lie in the resolved directory; and it is opened name by name without following a link, so that a link that is
//! put there meanwhile is not followed either.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use percent_encoding::percent_decode_str;
use rustix::fs::{Mode, OFlags, open, openat};

use super::media_type::media_type;

/// The file of a directory that is served for the directory itself.
const INDEX: &str = "index.html";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPath {
    /// The names, decoded; all are visible.
    names: Vec<String>,
    /// It ends with a slash, so it is a directory's.
    directory: bool,
}

/// What is at a path.
#[derive(Debug)]
pub enum SiteEntry {
    /// A file.
    File(SiteFile),
    /// A directory, asked for without a slash.
    Directory,
    /// Nothing that is served.
    Missing,
}

/// An open file.
#[derive(Debug)]
pub struct SiteFile {
    /// The file.
    pub file: File,
    /// Its length in bytes, when it was opened.
    pub length: u64,
    /// Its content type.
    pub media_type: &'static str,
    /// Its inode, and the time of its last change, in seconds and nanoseconds since 1970.
    version: (u64, i64, i64),
}

impl SiteFile {
    /// The entity tag. A weak one: a file may be changed twice within the resolution of its time.
    #[must_use]
    pub fn tag(&self) -> String {
        let (inode, seconds, nanoseconds) = self.version;
        format!("W/\"{inode:x}-{seconds:x}-{nanoseconds:x}-{:x}\"", self.length)
    }

    /// The time of the last change, as `Last-Modified` has it; `None` for a year that it cannot name.
    #[must_use]
    pub fn modified_text(&self) -> Option<String> {
        let modified = Timestamp::from_second(self.version.1).ok()?;
        DateTimePrinter::new().timestamp_to_rfc9110_string(&modified).ok()
    }
}

/// The part of a request's path after [`PREFIX`](super::PREFIX), still encoded. `None` when no file of a site can have
/// it: a name is hidden, `.` or `..`, empty, not UTF-8, or has an encoded slash or NUL.
#[must_use]
pub fn wanted(path: &str) -> Option<WantedPath> {
    let Some(path) = path.strip_prefix('/') else {
        return path.is_empty().then(|| WantedPath { names: Vec::new(), directory: false });
    };
    let directory = path.is_empty() || path.ends_with('/');
    let names = path.strip_suffix('/').unwrap_or(path);
    let names = names.split('/').filter(|_| !names.is_empty()).map(name).collect::<Option<_>>()?;
    Some(WantedPath { names, directory })
}

fn name(encoded: &str) -> Option<String> {
    let name = percent_decode_str(encoded).decode_utf8().ok()?;
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    plain.then(|| name.into())
}

/// Opens what is at `wanted` in `directory`. Blocks on the disk.
///
/// # Errors
/// When the disk cannot be read, or no file can be opened at the moment.
pub fn find(directory: &Path, wanted: &WantedPath) -> io::Result<SiteEntry> {
    let mut path: PathBuf = wanted.names.iter().collect();
    // A directory that is asked for with a slash is its index; one more level, if that is a directory, is not.
    if wanted.directory {
        path.push(INDEX);
    }
    match open_within(directory, &path) {
        Ok(None) => Ok(SiteEntry::Missing),
        Ok(Some(file)) => {
            let facts = file.metadata()?;
            if facts.is_dir() && !wanted.directory {
                return Ok(SiteEntry::Directory);
            }
            if !facts.is_file() {
                return Ok(SiteEntry::Missing);
            }
            // A file in 1969 has no `Last-Modified` that anyone needs.
            let modified = facts.modified().ok().filter(|modified| *modified >= UNIX_EPOCH);
            let version = modified.map_or((facts.ino(), -1, 0), |_| (facts.ino(), facts.mtime(), facts.mtime_nsec()));
            Ok(SiteEntry::File(SiteFile { length: facts.len(), media_type: media_type(&path), version, file }))
        }
        Err(error) if is_missing(&error) => Ok(SiteEntry::Missing),
        Err(error) => Err(error),
    }
}

/// Opens `path` below `directory`, whatever it is. `None` when it is a link that leads out, or to something hidden.
fn open_within(directory: &Path, path: &Path) -> io::Result<Option<File>> {
    let directory = directory.canonicalize()?;
    let resolved = directory.join(path).canonicalize()?;
    let Ok(below) = resolved.strip_prefix(&directory) else { return Ok(None) };
    // Opening a pipe must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut at = open(&directory, flags | OFlags::DIRECTORY, Mode::empty())?;
    for component in below.components() {
        let Component::Normal(name) = component else { return Ok(None) };
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(None);
        }
        at = openat(&at, name, flags, Mode::empty())?;
    }
    Ok(Some(at.into()))
}

/// Whether the error means that there is no such file, or none for the public.
fn is_missing(error: &io::Error) -> bool {
    let no_path = [
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::NotADirectory,
        ErrorKind::InvalidInput,
        ErrorKind::InvalidFilename,
    ];
    // ELOOP has no kind; ENXIO is a socket.
    no_path.contains(&error.kind())
        || [rustix::io::Errno::LOOP, rustix::io::Errno::NXIO]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use proptest::prelude::*;

    use super::*;

    fn is_there(directory: &Path, path: &str) -> bool {
        let found = wanted(path).map_or(SiteEntry::Missing, |wanted| find(directory, &wanted).expect("readable"));
        matches!(found, SiteEntry::File(_))
    }

    #[test]
    fn links_are_followed_within_the_site_and_not_out_of_it() {
        let outer = tempfile::tempdir().expect("a directory");
        let site = outer.path().join("site");
        fs::create_dir_all(site.join("sub")).expect("made");
        for file in ["secret", "site/page.html", "site/.hidden", "site/sub/page.html"] {
            fs::write(outer.path().join(file), "x").expect("written");
        }
        let link = |target: &str, name: &str| symlink(target, site.join(name)).expect("linked");
        link("../secret", "out");
        link("..", "up");
        link("/etc", "absolute");
        link("sub", "in");
        link(site.join("page.html").to_str().expect("text"), "whole");
        link(".hidden", "shown");
        link("loop", "loop");
        assert!(std::process::Command::new("mkfifo").arg(site.join("pipe")).status().expect("runs").success());
        for path in ["/page.html", "/up/site/page.html", "/in/page.html", "/whole", "/sub/page.html", "/p%61ge.html"] {
            assert!(is_there(&site, path), "{path}");
        }
        let missing = [
            "/out",
            "/up/secret",
            "/up/site/.hidden",
            "/absolute/passwd",
            "/shown",
            "/.hidden",
            "/loop",
            "/pipe",
            "/none",
            "/page.html/",
            "/page.html/x",
            "/sub",
            "/sub/",
            "/",
            "//page.html",
            "/sub//page.html",
            "/./page.html",
            "/../secret",
            "/%2e%2e/secret",
            "/sub/%2E%2e/%2e%2E/secret",
            "/..%2fsecret",
            "/sub%2fpage.html",
            "/%2fetc/passwd",
            "/..%5csecret",
            "/page.html%00",
            "/%ff",
            "page.html",
            "/%252e%252e/secret",
        ];
        for path in missing {
            assert!(!is_there(&site, path), "{path}");
        }
        // The site's directory may itself be a link, which is replaced for a new release.
        let current = outer.path().join("current");
        symlink("site", &current).expect("linked");
        assert!(is_there(&current, "/page.html") && !is_there(&current, "/out"));
    }

    proptest! {
        #[test]
        fn a_wanted_path_has_only_plain_names(path in "(/|%2[eEfF]|\\.|%5c|%00|a|%c3%bc|%ff|%25){0,12}") {
            let names = wanted(&path).map(|wanted| wanted.names).unwrap_or_default();
            for name in &names {
                let mut components = Path::new(name).components();
                prop_assert!(matches!(components.next(), Some(Component::Normal(_))), "{path}");
                prop_assert!(components.next().is_none() && !name.starts_with('.') && !name.contains('\0'), "{path}");
            }
        }
    }
}
