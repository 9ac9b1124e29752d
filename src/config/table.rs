//! A key of the configuration, and the macro that generates types from the table of keys.

/// One key of the configuration.
#[derive(Debug)]
pub struct ConfigKey {
    /// Its section. Keys of the section `hub` are at the top of the file.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// The section's title in `--help`.
    pub heading: &'static str,
    /// The lines of its documentation; the first paragraph is its help.
    pub about: &'static [&'static str],
    /// The placeholder for a value in `--help`.
    pub metavar: &'static str,
    /// The text of the default.
    pub default: &'static str,
    /// The texts of the smallest and the largest value.
    pub range: Option<(&'static str, &'static str)>,
    /// Whether its text is TOML, not a TOML string.
    pub is_toml: bool,
    /// Whether the flag may be given without a value, meaning `true`.
    pub is_switch: bool,
}

/// The section whose keys are at the top of the file, without a prefix.
pub(super) const ROOT: &str = "hub";

/// Keys whose flag and variable are shorter than their path: `--relay`, `GAPLESS_RELAY`. In a file `relay` is a section.
const SHORT: [(&str, &str); 2] = [("relay.dialects", "relay"), ("nats.servers", "nats")];

impl ConfigKey {
    /// `stream.keepalive`: its path in the file.
    #[must_use]
    pub fn path(&self) -> String {
        if self.section == ROOT { self.name.into() } else { format!("{}.{}", self.section, self.name) }
    }

    /// The path that its flag and variable are made of.
    fn short_path(&self) -> String {
        let path = self.path();
        SHORT.into_iter().find(|(key, _)| *key == path).map_or(path, |(_, short)| short.into())
    }

    /// `stream-keepalive`: the flag, without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.short_path().replace(['.', '_'], "-")
    }

    /// `GAPLESS_STREAM_KEEPALIVE`: the environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("GAPLESS_{}", self.short_path().replace('.', "_").to_uppercase())
    }

    /// Whether a running hub applies a new value at SIGHUP. Other keys need a restart.
    #[must_use]
    pub fn reloads(&self) -> bool {
        ["access", "cors", "limits"].contains(&self.section)
            || ["http.trusted_proxies", "http.forwarded", "log.requests"].contains(&&*self.path())
    }

    /// The line of `--help`.
    #[must_use]
    pub fn help(&self) -> String {
        let first: Vec<&str> = self.about.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
        format!("{} [default: {}]", first.join(" "), self.default)
    }
}

/// Generates [`Config`](super::Config), a struct for each section, and [`KEYS`](super::KEYS).
macro_rules! settings {
    (@range) => { None };
    (@range $low:literal $high:literal) => { Some(($low, $high)) };
    ($(
        #[doc = $heading:literal]
        $section:ident: $Section:ident {
            $( $(#[doc = $about:literal])+ $key:ident: $ValueKind:ty = $default:literal $(, $low:literal ..= $high:literal)?; )+
        }
    )+) => {
        /// The effective configuration, by section. Every value is in its range.
        #[derive(Debug, Clone)]
        pub struct Config {
            $( #[doc = $heading] pub $section: $Section, )+
        }

        $(
            #[doc = concat!("Section", $heading, ".")]
            #[derive(Debug, Clone)]
            pub struct $Section {
                $( $(#[doc = $about])+ pub $key: <$ValueKind as ValueKind>::Value, )+
            }
        )+

        /// Every key, in the order of the table.
        pub const KEYS: &[ConfigKey] = &[$($(
            ConfigKey {
                section: stringify!($section),
                name: stringify!($key),
                heading: $heading,
                about: &[$($about),+],
                metavar: <$ValueKind as ValueKind>::METAVAR,
                default: $default,
                range: settings!(@range $($low $high)?),
                is_toml: <$ValueKind as ValueKind>::IS_TOML,
                is_switch: <$ValueKind as ValueKind>::IS_SWITCH,
            },
        )+)+];

        impl Config {
            /// Reads every key, so that every mistake is found.
            pub(super) fn read(resolver: &mut Resolver) -> Self {
                let mut keys = KEYS.iter();
                Self { $(
                    $section: $Section { $(
                        $key: resolver.read::<$ValueKind>(keys.next().expect("one for each field, in the same order")),
                    )+ },
                )+ }
            }
        }
    };
}
pub(super) use settings;
