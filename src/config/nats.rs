//! `[nats]`: the servers of the engine jetstream, and how the hub logs in. A secret is in a file or a variable, which the
//! configuration names.

use std::{fs::File, path::PathBuf};

use super::{
    errors::ConfigErrors,
    keys::Nats,
    kinds::{ValueKind, problem},
    provider_key::{ProviderKey, SecretText},
    resolve::Resolver,
};
use crate::client::{HttpUrl, InvalidUrl};

/// The URL of a NATS server: `nats://host:4222`, or `tls://host:4222`, which requires TLS.
#[derive(Debug)]
pub struct NatsServer;
/// A name of 1 to 64 letters, digits, `_` and `-`, which is one token of a subject.
#[derive(Debug)]
pub struct SubjectToken;
/// A [`SubjectToken`], or `auto`: the host's name and a random part.
#[derive(Debug)]
pub struct HubName;
/// The URL of a NATS server's monitoring port, without a path.
#[derive(Debug)]
pub struct MonitorUrl;

/// How the hub logs in to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsLogin {
    /// Not at all.
    Anonymous,
    /// By a file of NATS credentials: a JWT and the seed of its NKEY.
    CredentialsFile(PathBuf),
    /// By a file with the seed of an NKEY.
    NkeyFile(PathBuf),
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: SecretText,
    },
    /// By a token.
    Token(SecretText),
}

impl ValueKind for NatsServer {
    type Value = String;
    const METAVAR: &'static str = "URLS";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let split = text.split_once("://").filter(|(scheme, _)| ["nats", "tls"].contains(scheme));
        let Some((scheme, rest)) = split else {
            return problem("is not the URL of a NATS server; write it like nats://10.0.0.1:4222, or tls://…");
        };
        // HTTP's rules of an authority are those of NATS.
        match HttpUrl::parse(&format!("http://{rest}")) {
            Err(InvalidUrl::UserInfo) => {
                problem("has a user name or a secret; these do not stand in a URL, see nats.user and nats.token_file")
            }
            Ok(url) if is_bare(&url, text) => {
                let authority = url.server.authority;
                let port = if url.server.address.len() == authority.len() { "" } else { ":4222" };
                Ok(format!("{scheme}://{authority}{port}"))
            }
            _ => problem("is not the URL of a NATS server: it has a scheme, a host and a port, as in nats://10.0.0.1:4222"),
        }
    }
}

impl ValueKind for SubjectToken {
    type Value = String;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<String, Vec<String>> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&text.len()) || !text.bytes().all(plain) {
            return problem("is not a name of 1 to 64 letters, digits, '_' and '-'");
        }
        Ok(text.into())
    }
}

impl ValueKind for HubName {
    type Value = Option<String>;
    const METAVAR: &'static str = "NAME";

    fn parse(text: &str) -> Result<Option<String>, Vec<String>> {
        if text == "auto" { Ok(None) } else { SubjectToken::parse(text).map(Some) }
    }
}

impl ValueKind for MonitorUrl {
    type Value = HttpUrl;
    const METAVAR: &'static str = "URLS";

    fn parse(text: &str) -> Result<HttpUrl, Vec<String>> {
        match HttpUrl::parse(text) {
            Ok(url) if is_bare(&url, text) => Ok(url),
            Err(InvalidUrl::UserInfo) => problem("has a user name; a monitoring port takes none"),
            _ => problem("is not the URL of a monitoring port; write it like http://10.0.0.1:8222"),
        }
    }
}

/// Whether `url`, written as `text`, has nothing but a host and perhaps a port.
fn is_bare(url: &HttpUrl, text: &str) -> bool {
    let authority = &url.server.authority;
    let port = authority.rsplit_once(':').filter(|_| !authority.ends_with(']'));
    let sound = port.is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    sound && url.query.is_none() && ["", "/"].contains(&&*url.path) && !text.contains('#')
}

impl Nats {
    /// Checks the constraints between the keys.
    pub(super) fn check(&self, wanted: bool, resolver: &mut Resolver) {
        resolver.require(
            !wanted || !self.servers.is_empty(),
            &["engine", "nats.servers"],
            "the engine jetstream needs the servers; name them with --nats nats://a:4222,nats://b:4222",
        );
        let password = self.password_file.is_some() || self.password_env.is_some();
        resolver.require(
            self.user.is_some() == password,
            &["nats.user", "nats.password_file", "nats.password_env"],
            "a user needs a password and a password a user; name its file (nats.password_file) or its variable \
             (nats.password_env)",
        );
        let logins = [
            self.credentials_file.is_some(),
            self.nkey_file.is_some(),
            self.user.is_some() && self.password_file.is_some(),
            self.user.is_some() && self.password_env.is_some(),
            self.token_file.is_some(),
            self.token_env.is_some(),
        ];
        resolver.require(
            logins.into_iter().filter(|given| *given).count() <= 1,
            &["nats.credentials_file", "nats.nkey_file", "nats.user", "nats.token_file", "nats.token_env"],
            "the hub logs in one way; leave one of credentials_file, nkey_file, user with a password, and token",
        );
    }

    /// How the hub logs in, with the secret read from its file or variable.
    ///
    /// # Errors
    /// Each file that cannot be read, and each secret that is missing.
    pub fn login(&self) -> Result<NatsLogin, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for (key, file) in [
            ("nats.roots_file", &self.roots_file),
            ("nats.credentials_file", &self.credentials_file),
            ("nats.nkey_file", &self.nkey_file),
        ] {
            if let Some((path, Err(error))) = file.as_ref().map(|path| (path, File::open(path))) {
                errors.push(key, format_args!("{} cannot be read: {error}", path.display()));
            }
        }
        let mut secret = |key: &str, file: &Option<PathBuf>, variable: &Option<String>| {
            let (place, source) = match (file, variable) {
                (Some(path), _) => ("file", ProviderKey::File(path.clone())),
                (None, Some(name)) => ("env", ProviderKey::Variables(vec![name.clone()])),
                (None, None) => return None,
            };
            source.read().unwrap_or_else(|problem| {
                errors.push(format_args!("nats.{key}_{place}"), problem);
                None
            })
        };
        let password = secret("password", &self.password_file, &self.password_env);
        let token = secret("token", &self.token_file, &self.token_env);
        let login = match (&self.credentials_file, &self.nkey_file, &self.user, password, token) {
            (Some(path), ..) => NatsLogin::CredentialsFile(path.clone()),
            (None, Some(path), ..) => NatsLogin::NkeyFile(path.clone()),
            (None, None, Some(user), Some(password), _) => NatsLogin::Password { user: user.clone(), password },
            (None, None, _, _, Some(token)) => NatsLogin::Token(token),
            _ => NatsLogin::Anonymous,
        };
        errors.into_result(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_with_a_port_and_without_a_secret() {
        for (text, want) in [
            ("nats://a", "nats://a:4222"),
            ("nats://a:4333/", "nats://a:4333"),
            ("tls://nats.example", "tls://nats.example:4222"),
            ("nats://[::1]", "nats://[::1]:4222"),
        ] {
            assert_eq!(NatsServer::parse(text), Ok(want.to_owned()), "{text}");
        }
        for text in ["", "a:4222", "http://a:4222", "nats://", "nats://a/b", "nats://a?x", "nats://a b", "nats://a:x", "nats://a:"] {
            assert!(NatsServer::parse(text).is_err(), "{text}");
        }
        let problems = NatsServer::parse("nats://ann:hunter2@a").expect_err("a secret");
        assert!(problems[0].contains("do not stand in a URL") && !problems[0].contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn a_name_is_one_token_of_a_subject() {
        for text in ["GAPLESS", "a-b_1"] {
            assert!(SubjectToken::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a.b", "a*", "a>", "a b", "ä", &"x".repeat(65)] {
            assert!(SubjectToken::parse(text).is_err(), "{text}");
        }
        assert_eq!(HubName::parse("auto"), Ok(None));
        assert!(MonitorUrl::parse("http://a:8222").is_ok() && MonitorUrl::parse("http://a:8222/varz").is_err());
    }
}
