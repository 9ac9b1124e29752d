//! The token of the command line or the environment.

use std::ffi::OsString;

use gapless_client::requests::credential::{Credential, MAX_TOKEN_BYTES};

use super::args::{HubArgs, Secret};
use crate::{access::MAX_CREDENTIAL_BYTES, cli::CliError};

/// The environment variable of the token.
pub(super) const VARIABLE: &str = "GAPLESS_TOKEN";

const _: () = assert!(MAX_TOKEN_BYTES == MAX_CREDENTIAL_BYTES, "a command sends what a hub accepts");

/// The token of the command line, else of the `environment`.
///
/// # Errors
/// When it is not a valid token, so that a mistake is reported before anything is sent.
pub(super) fn find(args: &HubArgs, environment: Option<OsString>) -> Result<Credential, CliError> {
    Ok(match (&args.token, &args.token_file, environment) {
        (Some(Secret(token)), ..) => Credential::fixed("--token", token.as_bytes())?,
        (None, Some(path), _) => Credential::file(path)?,
        (None, None, Some(token)) => Credential::fixed(VARIABLE, token.as_encoded_bytes())?,
        (None, None, None) => Credential::none(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{self, Write},
    };

    use gapless_client::ClientError;
    use hyper::header::HeaderValue;

    use super::{super::tests::args, *};

    fn found(line: &[&str], environment: Option<&str>) -> Result<Option<String>, CliError> {
        let authorization = authorization(&find(&args(line), environment.map(Into::into))?)?;
        Ok(authorization.map(|value| value.to_str().expect("ASCII").into()))
    }

    fn authorization(credential: &Credential) -> Result<Option<HeaderValue>, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(credential.authorization())
    }

    #[test]
    fn a_flag_beats_the_environment() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "filed").expect("written");
        let path = file.path().to_str().expect("UTF-8");
        for (line, environment, want) in [
            (&["--token", "typed"][..], Some("set"), Some("Bearer typed")),
            (&["--token-file", path], Some("set"), Some("Bearer filed")),
            (&[], Some("set\n"), Some("Bearer set")),
            (&[], None, None),
        ] {
            assert_eq!(found(line, environment).expect("a token").as_deref(), want, "{line:?}");
        }
    }

    #[test]
    fn an_invalid_token_is_refused_and_not_repeated() {
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for (token, want) in [
            ("", "empty"),
            (" \n", "empty"),
            ("sec ret", "a space"),
            ("sec\nret", "a line break"),
            ("sec\u{7f}ret", "a control character"),
            ("sec\u{fc}ret", "not ASCII"),
            ("bearer secret", "without Bearer"),
            (&long, "8192 bytes"),
        ] {
            let message = found(&[], Some(token)).expect_err(want).to_string();
            assert!(message.contains(want) && message.contains(VARIABLE), "{message}");
            assert!(!message.contains("sec") && !message.contains("ret") && !message.contains("xx"), "{message}");
        }
        assert!(found(&[], Some(&long[1..])).is_ok(), "the longest");
        let message = found(&["--token-file", "/no/such/file"], None).expect_err("no file").to_string();
        assert!(message.contains("/no/such/file") && message.contains("cannot be read"), "{message}");
        // Reading is bounded: this file is endless.
        let message = found(&["--token-file", "/dev/zero"], None).expect_err("endless").to_string();
        assert!(message.contains("8192 bytes"), "{message}");
    }

    #[test]
    fn a_replaced_token_file_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        fs::write(&path, "old\n").expect("written");
        let credential = find(&args(&["--token-file", path.to_str().expect("UTF-8")]), None).expect("old");
        authorization(&credential).expect("shown");
        assert!(!credential.renew());
        fs::write(&path, "new\n").expect("written");
        assert!(credential.renew());
        assert_eq!(authorization(&credential).expect("shown").expect("a token"), "Bearer new");
        assert!(!credential.renew());
        fs::remove_file(&path).expect("ours");
        assert!(!credential.renew() && authorization(&credential).is_err(), "a missing token is not a change");
    }

    #[test]
    fn a_pipe_is_read_once() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"piped").expect("written");
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let credential = find(&args(&["--token-file", &path]), None).expect("a token");
        for _ in 0..2 {
            assert_eq!(authorization(&credential).expect("kept").expect("a token"), "Bearer piped");
        }
    }

    #[test]
    fn debug_output_never_shows_a_token() {
        let credential = find(&args(&["--token", "secret"]), None).expect("a token");
        let _authorization = authorization(&credential);
        assert!(!format!("{credential:?}").contains("secret"), "{credential:?}");
    }
}
