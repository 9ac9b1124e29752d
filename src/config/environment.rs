//! The environment's variables that the configuration may look at.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{KEYS, errors::ConfigErrors, file::nearest, table::ConfigKey};

/// What all of the hub's own variables begin with.
const PREFIX: &str = "GAPLESS_";

/// Variables that mean something and are no keys: the file's name, and what the clients' commands read.
const OTHERS: [&str; 4] = ["GAPLESS_CONFIG", "GAPLESS_URL", "GAPLESS_TOKEN", "GAPLESS_CA"];

/// The hub's variables and `RUST_LOG`, by name. An empty variable counts as none: `GAPLESS_DATA=` is how scripts and compose
/// files leave one out.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The process's own.
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

    /// Names of variables that are no settings. One that looks like a mistyped setting goes to `errors`; the others are
    /// returned, because they may be somebody else's.
    pub(super) fn unknown(&self, errors: &mut ConfigErrors) -> Vec<String> {
        let known = |name: &str| KEYS.iter().any(|key| key.variable() == name) || OTHERS.contains(&name);
        let mut ignored = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name.starts_with(PREFIX) && !known(name)) {
            if is_from_kubernetes(name, value) {
                continue;
            }
            let variables = KEYS.iter().map(ConfigKey::variable).chain(OTHERS.map(Into::into));
            // Without what all have in common, which would make any two alike.
            let short = variables.map(|variable| variable[PREFIX.len()..].to_owned());
            match nearest(&name[PREFIX.len()..], short) {
                Some(meant) => {
                    errors.push(name, format_args!("is no setting; did you mean {PREFIX}{meant}?"));
                }
                None if name == "GAPLESS_PORT" => {
                    errors.push(name, "is no setting; write GAPLESS_LISTEN, like 127.0.0.1:8080");
                }
                None => ignored.push(name.clone()),
            }
        }
        ignored
    }
}

/// Whether Kubernetes sets this variable, in every pod beside a service whose name begins with `gapless`:
/// `GAPLESS_SERVICE_HOST`, `GAPLESS_PORT` (an address, as Docker's links had it), `GAPLESS_PORT_80_TCP_ADDR` and so on.
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

    fn looked_at(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let environment =
            Environment::new(variables.iter().map(|&(name, value)| (name.to_owned(), OsString::from(value))));
        let mut errors = ConfigErrors::default();
        let ignored = environment.unknown(&mut errors);
        let told = errors.all().iter().map(|mistake| format!("{} {}", mistake.place, mistake.problem));
        (told.collect(), ignored)
    }

    #[test]
    fn a_mistyped_variable_is_a_mistake_and_a_foreign_one_is_named() {
        let (told, ignored) = looked_at(&[
            ("GAPLESS_LISTENN", "1"),
            ("GAPLESS_STREAM_KEEP_ALIVE", "1s"),
            ("GAPLESS_PORT", "8080"),
            ("GAPLESS_DEPLOYED_BY", "ann"),
            ("GAPLESS_DATA", "/data"),
            ("GAPLESS_TOKEN", "x"),
            ("HOME", "/root"),
        ]);
        assert_eq!(
            told,
            [
                "GAPLESS_LISTENN is no setting; did you mean GAPLESS_LISTEN?",
                "GAPLESS_PORT is no setting; write GAPLESS_LISTEN, like 127.0.0.1:8080",
                "GAPLESS_STREAM_KEEP_ALIVE is no setting; did you mean GAPLESS_STREAM_KEEPALIVE?",
            ]
        );
        assert_eq!(ignored, ["GAPLESS_DEPLOYED_BY"]);
    }

    #[test]
    fn what_kubernetes_sets_is_passed_over() {
        let set = [
            ("GAPLESS_SERVICE_HOST", "10.0.0.1"),
            ("GAPLESS_SERVICE_PORT", "80"),
            ("GAPLESS_SERVICE_PORT_HTTP", "80"),
            ("GAPLESS_PORT", "tcp://10.0.0.1:80"),
            ("GAPLESS_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("GAPLESS_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("GAPLESS_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ];
        assert_eq!(looked_at(&set), (vec![], vec![]));
    }
}
