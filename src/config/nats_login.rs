//! How the hub logs in to NATS. A secret is in a file or a variable, which the configuration names.

use std::{fs::File, path::PathBuf};

use super::{
    errors::ConfigErrors,
    keys::Nats,
    provider_key::{ProviderKey, SecretText},
    resolve::Resolver,
};

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
    use std::io::Write as _;

    use super::*;
    use crate::config::{Config, Flags, load};
    use clap::{Args, Command, FromArgMatches};

    fn config(flags: &[&str]) -> Result<Config, String> {
        let command = Flags::augment_args(Command::new("gapless"));
        let matches = command.get_matches_from([&["gapless"], flags].concat());
        let flags = Flags::from_arg_matches(&matches).expect("flags");
        load(&flags).map(|(config, _)| config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_engine_needs_servers_and_the_hub_logs_in_one_way() {
        for (flags, want) in [
            (&["--engine", "jetstream"][..], "--nats nats://a:4222"),
            (&["--nats-user", "ann"], "a user needs a password"),
            (&["--nats-password-env", "A"], "a password a user"),
            (&["--nats-token-env", "A", "--nats-credentials-file", "/f"], "logs in one way"),
            (&["--nats-user", "a", "--nats-password-env", "A", "--nats-password-file", "/f"], "logs in one way"),
            (&["--nats-token-env", "A", "--nats-token-file", "/f"], "logs in one way"),
        ] {
            let error = config(flags).expect_err(want);
            assert!(error.contains(want), "{flags:?}: {error}");
        }
        assert!(config(&["--engine", "jetstream", "--nats", "nats://a,tls://b:4333"]).is_ok());
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_never_shown() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"hunter2\n").expect("written");
        let path = file.path().display().to_string();
        let config = config(&["--nats-user", "ann", "--nats-password-file", &path]).expect("sound");
        let login = config.nats.login().expect("readable");
        let NatsLogin::Password { user, password } = &login else { panic!("{login:?}") };
        assert_eq!((&**user, password.expose()), ("ann", "hunter2"));
        assert!(!format!("{login:?} {config:?}").contains("hunter2"), "{login:?}");
    }

    #[test]
    fn every_file_and_secret_that_is_missing_is_told() {
        let flags = ["--nats-token-env", "NO_SUCH_VARIABLE_OF_GAPLESS", "--nats-roots-file", "/no/such/roots"];
        let errors = config(&flags).expect("sound").nats.login().expect_err("missing").to_string();
        for want in ["nats.roots_file: /no/such/roots cannot be read", "nats.token_env: the key is missing"] {
            assert!(errors.contains(want), "{want}: {errors}");
        }
        assert_eq!(config(&[]).expect("sound").nats.login().expect("none"), NatsLogin::Anonymous);
    }
}
