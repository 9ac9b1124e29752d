//! `gapless remove`: removes one event.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http_body_util::Empty;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    CliError,
    client::{Dial, HubArgs, HubClient},
    output::{self, print_line},
    problem::HubProblem,
};
use crate::event::{EventId, TopicName};

/// The event to remove.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs a token with admin. On success the event's data is overwritten, and readers get an
event hub.removed in its place. Clients that have read the event already are notified, too, while
the topic is open, but they keep what they have read.

  gapless remove jobs/42/tokens yrtxnomj-17")]
pub struct RemoveArgs {
    /// Topic of the event
    #[arg(value_name = "TOPIC", value_parser = topic)]
    topic: TopicName,
    /// Id of the event, as in its receipt
    #[arg(value_name = "ID", value_parser = id)]
    id: EventId,
    #[command(flatten)]
    hub: HubArgs,
}

fn topic(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.to_string())
}

fn id(text: &str) -> Result<EventId, String> {
    EventId::parse(text).ok_or_else(|| "an id is written like 4f9a2c1e-17".into())
}

/// Removes the event and prints a confirmation.
///
/// # Errors
/// When the hub cannot be reached, refuses, or has no such event.
pub async fn run(args: RemoveArgs) -> Result<(), CliError> {
    remove(&args.hub.client()?, &args, &mut output::stdout()).await
}

async fn remove<D: Dial>(hub: &HubClient<D>, args: &RemoveArgs, out: &mut impl std::io::Write) -> Result<(), CliError> {
    let path = format!("/events/{}?", args.id);
    let target = Serializer::for_suffix(path.clone(), path.len()).append_pair("topic", args.topic.as_str()).finish();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let response = hub.send(Method::DELETE, &target, headers, Empty::<Bytes>::new()).await?;
    if response.status().is_success() {
        return print_line(out, format!("removed {} of {}", args.id, args.topic).as_bytes());
    }
    let problem = HubProblem::read(response).await;
    match problem.code() {
        Some("event-unknown") => Err(CliError::Nothing(format!(
            "{1} has no event {0}: retention or a deletion has removed it, or it never existed",
            args.id, args.topic
        ))),
        _ => Err(CliError::Refused(problem)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{
        Cli, Command,
        scripted::{Request, answer, hub, run},
    };

    fn removed(status: &str, body: &str) -> (Result<(), CliError>, String, Vec<Request>) {
        let cli = Cli::try_parse_from(["gapless", "remove", "a b/\u{fc}", "abcd-17"]).expect("a command line");
        let Some(Command::Remove(args)) = cli.command else { panic!("not remove") };
        let (mut out, mut outcome) = (Vec::new(), None);
        run(async {
            let (hub, requests) = hub([answer(status, body)]);
            let result = remove(&hub, &args, &mut out).await;
            outcome = Some((result, requests.take()));
        });
        let (result, requests) = outcome.expect("it ran");
        (result, String::from_utf8(out).expect("UTF-8"), requests)
    }

    #[test]
    fn an_event_is_removed_by_its_id_and_confirmed() {
        let (result, out, requests) = removed("204 No Content", "");
        result.expect("removed");
        assert_eq!(out, "removed abcd-17 of a b/\u{fc}\n");
        let target = "DELETE /events/abcd-17?topic=a+b%2F%C3%BC HTTP/1.1\r\n";
        assert!(requests[0].text.starts_with(target), "{}", requests[0].text);
    }

    #[test]
    fn a_missing_event_and_a_refusal_have_their_own_messages() {
        let (result, out, _) = removed("404 Not Found", r#"{"code":"event-unknown","detail":"no"}"#);
        assert!(result.expect_err("none").to_string().starts_with("a b/\u{fc} has no event abcd-17: "));
        assert_eq!(out, "");
        let (result, _, _) = removed("403 Forbidden", r#"{"code":"forbidden","detail":"needs admin"}"#);
        assert!(result.expect_err("no right").to_string().contains("needs admin"));
    }

    #[test]
    fn an_invalid_id_or_topic_is_refused_before_a_request() {
        Cli::try_parse_from(["gapless", "remove", "t", "17"]).expect_err("no id");
        Cli::try_parse_from(["gapless", "remove", "t*", "abcd-17"]).expect_err("a pattern");
    }
}
