//! `gapless token`: creates or explains a token.
//!
//! It does not contact a hub: it uses the same code and configuration as the hub.
//!
//! | module | idea |
//! |---|---|
//! | this file | creating a token |
//! | `args` | the arguments |
//! | `explain` | describes a token |
//! | `nearest` | why a grant does or does not cover a topic |

use std::{
    io::{self, Read},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{CliError, output};
use crate::access::{
    AccessSettings, Grant, MAX_CREDENTIAL_BYTES,
    mint::{self, Mint},
};

mod args;
mod explain;
mod nearest;
#[cfg(test)]
mod tests;

use self::args::TTL;
pub use self::args::TokenArgs;

/// Creates or explains a token, and prints the result.
///
/// # Errors
/// When there is no key to sign with; when the explained token is not valid or does not permit everything that was
/// asked.
pub fn run(args: &TokenArgs, settings: AccessSettings) -> Result<(), CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut out = output::stdout();
    if let Some(token) = &args.explain {
        let token = if token == "-" { read_token(io::stdin())? } else { token.clone() };
        return explain::explain(&token, args, settings, now, &mut out);
    }
    let text = if let Some(name) = &args.name {
        entry(name, &args.grant()?)
    } else {
        let mint =
            Mint::new(&settings, args.issuer.as_deref(), args.key_file.as_deref()).map_err(CliError::TokenCommand)?;
        mint.token(&args.grant()?, args.subject.as_deref(), now, args.ttl.unwrap_or(TTL).as_secs())
    };
    output::print_line(&mut out, text.as_bytes())
}

/// A new static token, and its entry for the configuration.
fn entry(name: &str, grant: &Grant) -> String {
    let (token, hash) = mint::static_token();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut lines = format!(
        "{token}\n\n# The line above is the token: keep it secret. This is its entry in the hub's configuration:\n[[access.tokens]]\nname = {}\nsha256 = \"{hash}\"",
        quoted(name)
    );
    for (key, filters) in [("publish", &grant.publish), ("subscribe", &grant.subscribe)] {
        if !filters.is_empty() {
            let texts: Vec<String> = filters.iter().map(|filter| quoted(filter.as_str())).collect();
            lines = format!("{lines}\n{key} = [{}]", texts.join(", "));
        }
    }
    if !grant.relay.is_empty() {
        let texts: Vec<String> = grant.relay.iter().map(|granted| quoted(&granted.to_string())).collect();
        lines = format!("{lines}\nrelay = [{}]", texts.join(", "));
    }
    if grant.admin { lines + "\nadmin = true" } else { lines }
}

/// Reads a token from a pipe, without the line break that `echo` adds.
fn read_token(input: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    // More than the longest token and a line break, so that a longer token is refused as too long.
    input.take(MAX_CREDENTIAL_BYTES as u64 + 3).read_to_string(&mut text).map_err(CliError::Input)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}
