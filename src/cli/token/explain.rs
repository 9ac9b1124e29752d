//! `gapless token --explain`: a token in words, as this configuration sees it.

use std::{io::Write, time::Duration};

use super::{TokenArgs, nearest::opening};
use crate::{
    access::{Access, AccessSettings, Findings, Grant, Refusal, hex},
    cli::CliError,
    event::{Filter, Millis},
};

/// What is asked of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TopicAction {
    // No documentation: clap would spread the help of the whole command for it.
    Publish,
    Subscribe,
}

/// Prints all about `token`.
///
/// # Errors
/// When it is not good, or does not open all that was asked, after everything is told.
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
    let mut told = access.explain(token.as_bytes(), now);
    let mut missing = Vec::new();
    // A key of one's own is tried first: it needs no network.
    if told.as_ref().is_err_and(Refusal::is_transient) {
        missing = access.fetch().err().unwrap_or_default();
        told = access.explain(token.as_bytes(), now);
    }
    let mut lines: Vec<String> = missing.iter().map(|problem| format!("keys cannot be fetched: {problem}")).collect();
    let outcome = match told {
        Err(refusal) => {
            lines.push(format!("not good: {}", reason(&refusal)));
            Err("the token is not good")
        }
        Ok(found) => {
            lines.extend(describe(&found, leeway, now));
            let good = found.wrong.is_empty();
            let opens = args.topic.iter().map(|asked| topic(&found.grant, good, asked, args.to, &mut lines));
            // All of them are told, also after the first that is closed.
            let closed = opens.filter(|opens| !opens).count();
            match (good, closed) {
                (false, _) => Err("the token is not good"),
                (true, 0) => Ok(()),
                (true, _) => Err("the token does not open all that was asked"),
            }
        }
    };
    let text = format!("{}\n", lines.join("\n"));
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::output)?;
    outcome.map_err(|problem| CliError::TokenCommand(problem.into()))
}

fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::KeysUnavailable => "the keys that could tell are not to be had".into(),
        other => other.to_string(),
    }
}

/// Whose it is, what is wrong with it, and what it opens.
fn describe(found: &Findings, leeway: u64, now: u64) -> Vec<String> {
    let mut lines = match &found.wrong[..] {
        [] => vec!["good".to_owned()],
        [one] => vec![format!("not good: {one}")],
        all => {
            let each = all.iter().map(|refusal| format!("  - {refusal}"));
            ["not good:".to_owned()].into_iter().chain(each).collect()
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
        None => row("until", "it is taken out of the configuration"),
        // The moment in the token, as its refusal names it. Clocks may differ: a hub takes it for some seconds more.
        Some(at) => {
            let exp = Millis(at.saturating_sub(leeway).saturating_mul(1000));
            let left = |until: u64| until.checked_sub(now).filter(|left| *left > 0).map(Duration::from_secs);
            let left = match (left(at.saturating_sub(leeway)), left(at)) {
                (Some(left), _) => format!("{} left", humantime::format_duration(left)),
                (None, Some(left)) => {
                    format!("over, but taken for {} more by access.leeway", humantime::format_duration(left))
                }
                (None, None) => "over".into(),
            };
            row("until", &format!("{exp} ({left})"));
        }
    }
    let list = |filters: &[Filter]| {
        let texts: Vec<&str> = filters.iter().map(Filter::as_str).collect();
        if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
    };
    row("publish", &list(&found.grant.publish));
    row("subscribe", &list(&found.grant.subscribe));
    row("admin", if found.grant.admin { "yes" } else { "no" });
    row("revoke it", &format!("sha256:{}", hex(&found.sha256)));
    if found.issuer.is_some() && found.grant == Grant::default() {
        lines.push(
            r#"It opens nothing: a JWT does so by its claim gapless, as in {"gapless":{"subscribe":["jobs/**"]}}."#
                .into(),
        );
    }
    lines
}

/// Says whether the grant of a token, which may be no good, opens `asked`, each way that is asked for. Whether one does.
fn topic(grant: &Grant, good: bool, asked: &Filter, to: Option<TopicAction>, lines: &mut Vec<String>) -> bool {
    let mut opens = false;
    let may = if good { "may" } else { "could, if it were good," };
    for way in [TopicAction::Publish, TopicAction::Subscribe].into_iter().filter(|way| to.is_none_or(|to| to == *way)) {
        let (verb, outcome) = match (way, asked) {
            (TopicAction::Publish, Filter::Pattern(_)) => {
                ("publish to", Err("an event has one topic, and this is a pattern".into()))
            }
            (TopicAction::Publish, Filter::Topic(_)) => ("publish to", opening(&grant.publish, asked)),
            (TopicAction::Subscribe, _) => ("subscribe to", opening(&grant.subscribe, asked)),
        };
        opens |= outcome.is_ok();
        lines.push(match outcome {
            Ok(by) => format!("{may} {verb} {}: by {}", asked.as_str(), by.as_str()),
            Err(why) => format!("may not {verb} {}: {why}", asked.as_str()),
        });
    }
    opens
}
