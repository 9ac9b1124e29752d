//! `GET /whoami`: what the hub knows of its caller, and what the caller may do. It shows no credential.

use std::fmt::Display;

use http::Uri;
use serde::Serialize;

use super::{body, keys};
use crate::{
    access::{CredentialKind, Grant},
    event::{Glob, Millis},
    http::{
        auth::Authorization,
        message::{json_text, problem::Problem, query::Query},
        net::response::Response,
    },
    relay::{Relay, provider::Provider},
};

/// The caller, and its permissions.
#[derive(Serialize)]
struct WhoamiBody<'a> {
    /// The program's version.
    version: &'static str,
    /// How the request was authenticated: `open`, `anonymous`, `token` or `jwt`.
    authentication: &'static str,
    /// The credential's holder.
    holder: Option<&'a str>,
    /// When the credential ends, the configured leeway included; RFC 3339.
    expires: Option<String>,
    /// Topics and patterns.
    publish: Vec<String>,
    /// Topics and patterns.
    subscribe: Vec<String>,
    /// Providers, and models of them.
    models: Vec<String>,
    admin: bool,
    /// Whether the listener of this request serves what operators read.
    operators_here: bool,
    /// `None` when no provider is configured.
    relay: Option<RelayBody<'a>>,
}

/// The relay, as far as the caller may use it.
#[derive(Serialize)]
struct RelayBody<'a> {
    /// In order of their names.
    providers: Vec<ProviderBody<'a>>,
}

#[derive(Serialize)]
struct ProviderBody<'a> {
    name: &'a str,
    dialect: &'static str,
    /// Patterns of the models that the hub passes on; `*` for any.
    models: Vec<&'a str>,
}

/// The response. `operators_here`: whether the listener of this request serves what operators read.
///
/// # Errors
/// When the query has a key that can only be a mistake.
pub fn handle(
    authorization: &Authorization,
    relay: Option<&Relay>,
    operators_here: bool,
    uri: &Uri,
) -> Result<Response, Problem> {
    keys::WHOAMI.check(&Query::new(uri.query()))?;
    let grant = authorization.grant();
    Ok(body::json(json_text::text(&WhoamiBody {
        version: env!("CARGO_PKG_VERSION"),
        authentication: name(authorization.credential()),
        holder: authorization.holder(),
        expires: authorization.expires().map(|seconds| Millis(seconds.saturating_mul(1000)).to_string()),
        publish: texts(&grant.publish),
        subscribe: texts(&grant.subscribe),
        models: texts(&grant.relay),
        admin: grant.admin,
        operators_here,
        relay: relay.map(|relay| RelayBody::new(relay, grant)),
    })))
}

/// `open` is what needs no credential, also the operators' own address of the loopback.
fn name(credential: &CredentialKind) -> &'static str {
    match credential {
        CredentialKind::Open | CredentialKind::Operator => "open",
        CredentialKind::Anonymous => "anonymous",
        CredentialKind::Token { .. } => "token",
        CredentialKind::Jwt { .. } | CredentialKind::Protocol(_) => "jwt",
    }
}

fn texts(granted: &[impl Display]) -> Vec<String> {
    granted.iter().map(ToString::to_string).collect()
}

impl<'a> RelayBody<'a> {
    fn new(relay: &'a Relay, grant: &Grant) -> Self {
        let mut usable: Vec<&Provider> =
            relay.providers.values().map(|provider| &**provider).filter(|it| grant.may_relay_some(&it.name)).collect();
        usable.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Self { providers: usable.into_iter().map(ProviderBody::new).collect() }
    }
}

impl<'a> ProviderBody<'a> {
    fn new(provider: &'a Provider) -> Self {
        let models = match &*provider.models {
            [] => vec!["*"],
            some => some.iter().map(Glob::as_str).collect(),
        };
        Self { name: &provider.name, dialect: provider.dialect.name(), models }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        access::{Principal, RelayGrant},
        event::Filter,
        http::{message::problem::Code, testing},
    };

    #[tokio::test]
    async fn a_caller_sees_its_credentials_kind_and_its_grant() {
        let filters = |texts: &[&str]| texts.iter().map(|text| Filter::new(text).expect("valid")).collect();
        let grant = Grant {
            publish: filters(&["jobs/*"]),
            subscribe: filters(&["jobs/**", "news"]),
            relay: vec![RelayGrant::new("openai/gpt-4o*").expect("valid")],
            admin: false,
        };
        let (key, sha256) = ([7; 32], [7; 32]);
        let credential = CredentialKind::Jwt { key, sha256, id: Some("an id".into()), subject: Some("ann".into()) };
        let principal = Principal { holder: Some("ann of x".into()), grant, expires: Some(1_795_233_960), credential };
        let authorization = Authorization::new(&Arc::new(principal), 0);
        let shown = handle(&authorization, None, false, &Uri::from_static("/whoami")).expect("shown");
        assert_eq!(shown.headers()["cache-control"], "no-store");
        assert_eq!(
            testing::json(shown).await,
            json!({
                "version": env!("CARGO_PKG_VERSION"), "authentication": "jwt", "holder": "ann of x",
                "expires": "2026-11-21T04:06:00.000Z", "publish": ["jobs/*"], "subscribe": ["jobs/**", "news"],
                "models": ["openai/gpt-4o*"], "admin": false, "operators_here": false, "relay": null,
            })
        );
    }

    #[test]
    fn a_token_under_another_name_is_refused_and_not_taken_for_none() {
        let anyone = testing::anyone(&testing::app().0);
        for query in ["access-token=x", "accessToken=x", "token=x"] {
            let uri: Uri = format!("/whoami?{query}").parse().expect("valid");
            let problem = handle(&anyone, None, true, &uri).map(|_| ()).expect_err(query);
            assert_eq!(problem.code, Code::QueryInvalid);
            assert!(problem.detail.contains("use 'access_token'"), "{problem}");
        }
        assert!(handle(&anyone, None, true, &Uri::from_static("/whoami?_=17")).is_ok());
    }
}
