//! The environment variables of the configuration.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{KEYS, errors::ConfigErrors, file::nearest, table::ConfigKey};

/// The prefix of all the hub's variables.
const PREFIX: &str = "GAPLESS_";

/// Variables with the prefix that are not keys: the configuration file, and those of the client commands.
const OTHERS: [&str; 4] = ["GAPLESS_CONFIG", "GAPLESS_URL", "GAPLESS_TOKEN", "GAPLESS_CA"];

/// The hub's variables and `RUST_LOG`, by name. An empty variable counts as unset: scripts and compose files write
/// `GAPLESS_DATA=` to leave a setting out.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process.
    pub(super) fn of_process() -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        Self::new(std::env::vars_os().filter_map(named))
    }

    pub(super) fn new(variables: impl IntoIterator<Item = (String, OsString)>) -> Self {
        let counts =
            |(name, value): &(String, OsString)| (name.starts_with(PREFIX) || name == "RUST_LOG") && !value.is_empty();
        Self(variables.into_iter().filter(counts).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// Finds variables with the prefix that are not settings. One that resembles a setting is added to `errors`; the
    /// names of the others are returned, because another program may use them.
    pub(super) fn unknown(&self, errors: &mut ConfigErrors) -> Vec<String> {
        let known = |name: &str| KEYS.iter().any(|key| key.variable() == name) || OTHERS.contains(&name);
        let mut ignored = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name.starts_with(PREFIX) && !known(name)) {
            if is_from_kubernetes(name, value) {
                continue;
            }
            let variables = KEYS.iter().map(ConfigKey::variable).chain(OTHERS.map(Into::into));
            // Compared without the common prefix, which would make any two names similar.
            let short = variables.map(|variable| variable[PREFIX.len()..].to_owned());
            match nearest(&name[PREFIX.len()..], short) {
                Some(meant) => {
                    errors.push(name, format_args!("is not a setting; did you mean {PREFIX}{meant}?"));
                }
                None if name == "GAPLESS_PORT" => {
                    errors.push(name, "is not a setting; set GAPLESS_LISTEN, as in 127.0.0.1:8080");
                }
                None => ignored.push(name.clone()),
            }
        }
        ignored
    }
}

/// Whether Kubernetes has set this variable, which it does in every pod beside a service whose name begins with
/// `gapless`: `GAPLESS_SERVICE_HOST`, `GAPLESS_PORT` (a URL, as with Docker links), `GAPLESS_PORT_80_TCP_ADDR` and so
/// on.
fn is_from_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_link =
        || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.as_encoded_bytes().starts_with(scheme.as_bytes()));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || (name.ends_with("_PORT") && is_link())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let environment =
            Environment::new(variables.iter().map(|&(name, value)| (name.to_owned(), OsString::from(value))));
        let mut errors = ConfigErrors::default();
        let ignored = environment.unknown(&mut errors);
        let mistakes = errors.all().iter().map(|mistake| format!("{} {}", mistake.place, mistake.problem));
        (mistakes.collect(), ignored)
    }

    #[test]
    fn a_mistyped_variable_is_a_mistake_and_an_unrelated_one_is_named() {
        let (mistakes, ignored) = check(&[
            ("GAPLESS_LISTENN", "1"),
            ("GAPLESS_STREAM_KEEP_ALIVE", "1s"),
            ("GAPLESS_PORT", "8080"),
            ("GAPLESS_DEPLOYED_BY", "ann"),
            ("GAPLESS_DATA", "/data"),
            ("GAPLESS_TOKEN", "x"),
            ("HOME", "/root"),
        ]);
        assert_eq!(
            mistakes,
            [
                "GAPLESS_LISTENN is not a setting; did you mean GAPLESS_LISTEN?",
                "GAPLESS_PORT is not a setting; set GAPLESS_LISTEN, as in 127.0.0.1:8080",
                "GAPLESS_STREAM_KEEP_ALIVE is not a setting; did you mean GAPLESS_STREAM_KEEPALIVE?",
            ]
        );
        assert_eq!(ignored, ["GAPLESS_DEPLOYED_BY"]);
    }

    #[test]
    fn variables_of_kubernetes_are_ignored() {
        let set = [
            ("GAPLESS_SERVICE_HOST", "10.0.0.1"),
            ("GAPLESS_SERVICE_PORT", "80"),
            ("GAPLESS_SERVICE_PORT_HTTP", "80"),
            ("GAPLESS_PORT", "tcp://10.0.0.1:80"),
            ("GAPLESS_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("GAPLESS_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("GAPLESS_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ];
        assert_eq!(check(&set), (vec![], vec![]));
    }
}
