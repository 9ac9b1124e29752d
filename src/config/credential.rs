//! `credential:NAME`: a file that the service manager has passed on, as by `LoadCredential=` of systemd.
//!
//! systemd names the directory of a unit's credentials in `CREDENTIALS_DIRECTORY`. Only the unit's user reads it, and it is
//! never on a disk, so a secret need not be readable by that user in its own place.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// What stands before the name.
const PREFIX: &str = "credential:";

/// The file that `text` names: a path, or `credential:NAME`.
///
/// # Errors
/// Why the credential has no path, in words that follow the text.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    file_in(text, env::var_os("CREDENTIALS_DIRECTORY").as_deref())
}

fn file_in(text: &str, directory: Option<&OsStr>) -> Result<PathBuf, String> {
    let Some(name) = text.strip_prefix(PREFIX) else { return Ok(text.into()) };
    // As systemd's own rule for a credential's name: it is a file's name.
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.chars().any(char::is_control) {
        return Err("is not the name of a credential; write it like credential:tls.key".into());
    }
    let directory = directory.map(Path::new).filter(|directory| directory.is_absolute()).ok_or_else(|| {
        format!(
            "is a credential, but CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit that has \
             LoadCredential={name}:FILE"
        )
    })?;
    Ok(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_of_the_services_directory() {
        let directory = Some(OsStr::new("/run/credentials/gapless.service"));
        assert_eq!(file_in("credential:tls.key", directory), Ok("/run/credentials/gapless.service/tls.key".into()));
        for path in ["/etc/tls.key", "tls.key", "./credential:tls.key"] {
            assert_eq!(file_in(path, directory), Ok(path.into()));
        }
        for text in ["credential:", "credential:..", "credential:../shadow", "credential:a/b"] {
            assert!(file_in(text, directory).expect_err(text).contains("is not the name of a credential"), "{text}");
        }
    }

    #[test]
    fn without_a_directory_it_says_what_to_write_into_the_unit() {
        for directory in [None, Some(OsStr::new("")), Some(OsStr::new("relative"))] {
            let error = file_in("credential:tls.key", directory).expect_err("none");
            assert!(error.contains("LoadCredential=tls.key:FILE"), "{error}");
        }
    }
}
