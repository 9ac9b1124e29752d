//! `gapless token --explain`: describes a token, as a hub with this configuration would treat it.

use std::{io::Write, time::Duration};

use super::{
    args::{TokenArgs, TopicAction},
    nearest::covering_grant,
};
use crate::{
    access::{Access, AccessSettings, Findings, Grant, Refusal, hex},
    cli::{CliError, output::print_line},
    event::{Filter, Millis, duration},
};

/// Prints a description of `token`.
///
/// # Errors
/// When it is not valid, or does not permit everything that was asked. The description is printed in both cases.
pub(super) fn explain(
    token: &str,
    args: &TokenArgs,
    settings: AccessSettings,
    now: u64,
    out: &mut impl Write,
) -> Result<(), CliError> {
    let leeway = settings.leeway.as_secs();
    let access = Access::new(settings).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.into_iter().map(|(key, problem)| format!("{key}: {problem}")).collect();
        CliError::TokenCommand(lines.join("; "))
    })?;
    let mut result = access.explain(token.as_bytes(), now);
    let mut missing = Vec::new();
    // Configured keys are tried first, because they need no network.
    if result.as_ref().is_err_and(Refusal::is_transient) {
        missing = access.fetch().err().unwrap_or_default();
        result = access.explain(token.as_bytes(), now);
    }
    let mut lines: Vec<String> = missing.iter().map(|problem| format!("keys cannot be fetched: {problem}")).collect();
    let outcome = match result {
        Err(refusal) => {
            lines.push(match refusal {
                Refusal::KeysUnavailable => "not verified: its issuer's keys are not available".into(),
                other => format!("not valid: {other}"),
            });
            Err("the token is not valid")
        }
        Ok(found) => {
            lines.extend(describe(&found, leeway, now));
            let valid = found.refusals.is_empty();
            let permitted = args.topic.iter().map(|asked| topic(&found.grant, valid, asked, args.to, &mut lines));
            // Counted, not short-circuited, so that every topic is explained.
            let denied = permitted.filter(|permitted| !permitted).count();
            match (valid, denied) {
                (false, _) => Err("the token is not valid"),
                (true, 0) => Ok(()),
                (true, _) => Err("the token does not permit everything that was asked"),
            }
        }
    };
    print_line(out, lines.join("\n").as_bytes())?;
    outcome.map_err(|problem| CliError::TokenCommand(problem.into()))
}

/// Its validity, holder, expiry and permissions.
fn describe(found: &Findings, leeway: u64, now: u64) -> Vec<String> {
    let mut lines = match &found.refusals[..] {
        [] => vec!["valid".to_owned()],
        [one] => vec![format!("not valid: {one}")],
        all => {
            let each = all.iter().map(|refusal| format!("  - {refusal}"));
            ["not valid:".to_owned()].into_iter().chain(each).collect()
        }
    };
    let mut row = |name: &str, value: &str| lines.push(format!("  {name:<10}{value}"));
    row("kind", if found.issuer.is_some() { "JWT" } else { "static token" });
    if let Some(issuer) = &found.issuer {
        row("issuer", &format!("{issuer:?}"));
    }
    if let Some(holder) = &found.holder {
        row("holder", &format!("{holder:?}"));
    }
    match found.expires {
        None if found.issuer.is_some() => {}
        None => row("until", "it is removed from the configuration"),
        // The time in the token, as in the message of its refusal. The hub accepts it for the leeway longer.
        Some(at) => {
            let exp = Millis(at.saturating_sub(leeway).saturating_mul(1000));
            let left = |until: u64| until.checked_sub(now).filter(|left| *left > 0).map(Duration::from_secs);
            let left = match (left(at.saturating_sub(leeway)), left(at)) {
                (Some(left), _) => format!("{} left", duration::spell(left)),
                (None, Some(left)) => {
                    format!("expired, but accepted for {} more by access.leeway", duration::spell(left))
                }
                (None, None) => "expired".into(),
            };
            row("until", &format!("{exp} ({left})"));
        }
    }
    let Grant { publish, subscribe, relay, .. } = &found.grant;
    row("publish", &list(publish));
    row("subscribe", &list(subscribe));
    row("relay", &list(relay));
    row("admin", if found.grant.admin { "yes" } else { "no" });
    row("revoke it", &format!("sha256:{}", hex(&found.sha256)));
    if found.issuer.is_some() && found.grant == Grant::default() {
        lines.push(
            r#"It permits nothing: the permissions of a JWT are in its claim gapless, as in {"gapless":{"subscribe":["jobs/**"]}}."#
                .into(),
        );
    }
    lines
}

fn list(granted: &[impl ToString]) -> String {
    let texts: Vec<String> = granted.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// Explains whether the grant of a token, valid or not, covers `asked`, for each requested action. Returns whether it
/// does for one.
fn topic(grant: &Grant, valid: bool, asked: &Filter, to: Option<TopicAction>, lines: &mut Vec<String>) -> bool {
    let mut permitted = false;
    let may = if valid { "may" } else { "could, if it were valid," };
    for action in
        [TopicAction::Publish, TopicAction::Subscribe].into_iter().filter(|action| to.is_none_or(|to| to == *action))
    {
        let (verb, outcome) = match (action, asked) {
            (TopicAction::Publish, Filter::Pattern(_)) => {
                ("publish to", Err("an event has one topic, and this is a pattern".into()))
            }
            (TopicAction::Publish, Filter::Topic(_)) => ("publish to", covering_grant(&grant.publish, asked)),
            (TopicAction::Subscribe, _) => ("subscribe to", covering_grant(&grant.subscribe, asked)),
        };
        permitted |= outcome.is_ok();
        lines.push(match outcome {
            Ok(by) => format!("{may} {verb} {}: by {}", asked.as_str(), by.as_str()),
            Err(why) => format!("may not {verb} {}: {why}", asked.as_str()),
        });
    }
    permitted
}
