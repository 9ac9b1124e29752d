//! The documents at `/docs/`, to which the `type` of every problem refers: those of the repository, as HTML.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, header};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::http::{
    message::problem::{Code, Problem},
    net::response::{Response, full},
};

/// Name and text of each document. Links to other files become plain text, and so do images.
const DOCUMENTS: [(&str, &str); 11] = [
    ("PROTOCOL.md", include_str!("../../../docs/PROTOCOL.md")),
    ("CLIENTS.md", include_str!("../../../docs/CLIENTS.md")),
    ("PRODUCERS.md", include_str!("../../../docs/PRODUCERS.md")),
    ("OPERATIONS.md", include_str!("../../../docs/OPERATIONS.md")),
    ("RELAY.md", include_str!("../../../docs/RELAY.md")),
    ("DURABLE-STREAMS.md", include_str!("../../../docs/DURABLE-STREAMS.md")),
    ("MERCURE.md", include_str!("../../../docs/MERCURE.md")),
    ("CLOUDEVENTS.md", include_str!("../../../docs/CLOUDEVENTS.md")),
    ("JETSTREAM.md", include_str!("../../../docs/JETSTREAM.md")),
    ("SCALING.md", include_str!("../../../docs/SCALING.md")),
    ("CONSOLE.md", include_str!("../../../docs/CONSOLE.md")),
];

/// Permits the inline style and nothing else: no script, image or form.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root { color-scheme: light dark }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word }
code, pre { font: .9em/1.45 ui-monospace, monospace }
pre { padding: .8rem; overflow-x: auto; background: #8881; border-radius: .3rem; overflow-wrap: normal }
table { display: block; overflow-x: auto; border-collapse: collapse }
th, td { padding: .3rem .6rem; border: 1px solid #8884; text-align: left; vertical-align: top; overflow-wrap: normal }
:target { background: #fd06 }
";

static PAGES: LazyLock<[Bytes; DOCUMENTS.len()]> =
    LazyLock::new(|| DOCUMENTS.map(|(name, text)| page(name, text).into()));

/// The document called `name`.
///
/// # Errors
/// [`Code::NotFound`] when there is no such document.
pub fn document(name: &str) -> Result<Response, Problem> {
    let Some(index) = DOCUMENTS.iter().position(|(known, _)| *known == name) else {
        let names = DOCUMENTS.map(|(name, _)| name).join(", ");
        return Err(Problem::new(Code::NotFound, format!("there is no such document here; there are {names}")));
    };
    let mut response = Response::new(full(PAGES[index].clone()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// A document as HTML, with the heading anchors that GitHub generates.
fn page(name: &str, text: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    for at in 0..events.len() {
        if let Event::Start(Tag::Heading { .. }) = events[at] {
            let anchor = anchor(&events[at + 1..]);
            if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
                *id = Some(anchor.into());
            }
        }
    }
    let mut plain = false;
    events.retain(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            plain = !leads_somewhere(dest_url);
            !plain
        }
        Event::End(TagEnd::Link) => !std::mem::take(&mut plain),
        // Its text stays: the policy permits no image.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => false,
        _ => true,
    });
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>gapless: {name}</title>\n<style>{STYLE}</style>\n"
    );
    html::push_html(&mut out, events.into_iter());
    out
}

/// The anchor that GitHub generates from a heading.
fn anchor(heading: &[Event<'_>]) -> String {
    let mut text = String::new();
    for event in heading {
        match event {
            Event::Text(part) | Event::Code(part) => text += part,
            Event::End(TagEnd::Heading(_)) => break,
            _ => {}
        }
    }
    let kept = text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Whether a link has a target here: within the page, in another served document, or on the web.
fn leads_somewhere(target: &CowStr<'_>) -> bool {
    let file = target.split('#').next().unwrap_or_default();
    file.is_empty() || file.contains("://") || DOCUMENTS.iter().any(|(name, _)| *name == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_an_anchor_that_its_type_names() {
        let page = page(DOCUMENTS[0].0, DOCUMENTS[0].1);
        for code in Code::ALL {
            assert!(page.contains(&format!("<h3 id=\"{}\">", code.as_str())), "{code:?}");
        }
    }

    #[test]
    fn what_the_protocol_refers_to_is_served_beside_it() {
        let neighbours = Parser::new(DOCUMENTS[0].1).filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. }) if !dest_url.starts_with("../") => Some(dest_url),
            _ => None,
        });
        let missing: Vec<CowStr<'_>> = neighbours.filter(|target| !leads_somewhere(target)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_link_that_leads_nowhere_here_is_plain_text() {
        let page =
            page("x", "[a](OPERATIONS.md#tls) [b](#b) [c](../src/main.rs) [d](https://d.example) `x`\n\n# A `b`, C\n");
        for want in ["href=\"OPERATIONS.md#tls\"", "href=\"#b\"", " c ", "href=\"https://d.example\"", "id=\"a-b-c\""] {
            assert!(page.contains(want), "{want}: {page}");
        }
        assert!(!page.contains("main.rs"), "{page}");
        let page = super::page("x", "![a view](console/view.png)\n");
        assert!(page.contains("a view") && !page.contains("view.png"), "{page}");
    }
}
