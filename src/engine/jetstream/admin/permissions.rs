//! The least permissions of a hub's user, as a block of a server's configuration.

use std::fmt::Write;

/// A block `permissions: { … }` for a hub's user.
#[must_use]
pub fn hub_permissions(stream: &str, prefix: &str) -> String {
    let api = [
        format!("STREAM.INFO.{stream}"),
        format!("STREAM.PURGE.{stream}"),
        format!("STREAM.MSG.GET.{stream}"),
        format!("STREAM.MSG.DELETE.{stream}"),
        format!("DIRECT.GET.{stream}"),
        format!("CONSUMER.CREATE.{stream}.>"),
        format!("CONSUMER.MSG.NEXT.{stream}.>"),
        format!("CONSUMER.DELETE.{stream}.>"),
    ];
    let publish = [format!("{prefix}.>"), format!("hub.{prefix}.>")];
    let publish = publish.into_iter().chain(api.iter().map(|subject| format!("$JS.API.{subject}")));
    let subscribe = [format!("live.{prefix}.>"), format!("hub.{prefix}.>"), "_INBOX.>".to_owned()];
    let mut text = String::from("permissions: {\n");
    for (name, subjects) in [("publish", publish.collect::<Vec<_>>()), ("subscribe", subscribe.to_vec())] {
        let _ = writeln!(text, "    {name}: {{ allow: [");
        for subject in subjects {
            let _ = writeln!(text, "        \"{subject}\"");
        }
        text.push_str("    ] }\n");
    }
    text.push_str("}\n");
    text
}
