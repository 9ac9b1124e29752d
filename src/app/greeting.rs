//! The text on stdout after the start: the addresses, and example commands.

use std::{fmt::Write, net::SocketAddr};

use crate::{
    config::{Config, providers::DialectKind},
    http::{auth::admin_listener::AdminListener, net::listen::Endpoint},
};

/// The text: every endpoint, and commands that work as they are, or name what to fill in.
#[must_use]
pub fn text(config: &Config, places: &[Endpoint], operators: &[Endpoint]) -> String {
    let hub = UrlStyle { tls: config.speaks_tls(), cert_name: config.tls.acme.first().map(String::as_str) };
    let mut out = String::new();
    for (index, place) in places.iter().enumerate() {
        let prefix = if index == 0 { "gapless listening on" } else { "                and on" };
        add_line(&mut out, format_args!("{prefix} {}", hub.display(place)));
    }
    // Without configured credentials no command needs a token; with them, one without a token may be refused.
    let token = if config.has_credentials() { "-H 'Authorization: Bearer TOKEN' " } else { "" };
    let network = places.iter().find_map(|place| match place {
        Endpoint::Tcp(address) => Some(hub.url(*address)),
        Endpoint::Unix(_) => None,
    });
    let (through, url) = match (&network, places.first()) {
        (Some(url), _) => (String::new(), url.clone()),
        (None, Some(Endpoint::Unix(path))) => {
            (format!("--unix-socket '{}' ", path.display()), "http://localhost".to_owned())
        }
        (None, _) => return out,
    };
    out.push('\n');
    if network.is_some() {
        add_line(&mut out, format_args!("  page       {url}/"));
        if config.hub.site.is_some() {
            add_line(&mut out, format_args!("  site       {url}/site/"));
        }
    }
    add_line(&mut out, format_args!("  publish    curl {through}{token}-d 'Hello' '{url}/publish?topic=demo'"));
    add_line(&mut out, format_args!("  subscribe  curl {through}{token}-N '{url}/events?topic=demo&from=earliest'"));
    for provider in &config.relay.providers {
        let path = match provider.dialect {
            DialectKind::OpenAi => "/v1",
            DialectKind::Anthropic | DialectKind::Gemini | DialectKind::Ollama => "",
        };
        add_line(&mut out, format_args!("  base_url   {url}/relay/{}{path}", provider.name));
    }
    for place in operators {
        // A local-only admin listener does not speak TLS.
        let unauthenticated = super::listening::operators(config) == AdminListener::SeparateUnauthenticated;
        let style = UrlStyle { tls: hub.tls && !unauthenticated, ..hub };
        match place {
            Endpoint::Tcp(address) => {
                add_line(&mut out, format_args!("  stats      {}/admin/stats", style.url(*address)));
            }
            Endpoint::Unix(path) => {
                let path = path.display();
                add_line(
                    &mut out,
                    format_args!("  stats      curl --unix-socket '{path}' http://localhost/admin/stats"),
                );
            }
        }
    }
    if network.is_some() && hub.tls && hub.cert_name.is_none() {
        out.push_str("\n  HOST is a name on the certificate; for a private CA add --cacert FILE\n");
    }
    out
}

fn add_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("memory");
}

/// How to address the hub in a URL.
#[derive(Clone, Copy)]
struct UrlStyle<'a> {
    tls: bool,
    /// A name on its certificate, if known.
    cert_name: Option<&'a str>,
}

impl UrlStyle<'_> {
    /// The endpoint as it was configured.
    fn display(self, place: &Endpoint) -> String {
        match place {
            Endpoint::Tcp(address) if self.tls => format!("https://{address}"),
            Endpoint::Tcp(address) => format!("http://{address}"),
            Endpoint::Unix(_) => place.to_string(),
        }
    }

    /// A URL for a client. With TLS it needs a name of the certificate, not an address. The unspecified address is
    /// replaced by the loopback address.
    fn url(self, address: SocketAddr) -> String {
        if self.tls {
            return format!("https://{}:{}", self.cert_name.unwrap_or("HOST"), address.port());
        }
        let local = if address.is_ipv6() { "[::1]" } else { "127.0.0.1" };
        if address.ip().is_unspecified() {
            format!("http://{local}:{}", address.port())
        } else {
            format!("http://{address}")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::config::{Flags, load};

    fn greeting(flags: &[&str], places: &[Endpoint]) -> String {
        let command = Flags::augment_args(Command::new("gapless"));
        let matches = command.get_matches_from([&["gapless"], flags].concat());
        let config = load(&Flags::from_arg_matches(&matches).expect("flags")).expect("sound").0;
        text(&config, places, &[])
    }

    fn tcp(text: &str) -> Endpoint {
        Endpoint::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn a_site_is_named_where_there_is_one() {
        let places = [tcp("127.0.0.1:80")];
        assert!(greeting(&["--site", "."], &places).contains("  site       http://127.0.0.1:80/site/\n"));
        assert!(!greeting(&[], &places).contains("/site/"));
    }

    #[test]
    fn every_endpoint_is_listed_and_the_commands_use_the_first_tcp_one() {
        let said = greeting(&[], &[Endpoint::Unix("/run/hub".into()), tcp("[::1]:80"), tcp("127.0.0.1:80")]);
        assert!(said.starts_with("gapless listening on unix:/run/hub\n"), "{said}");
        for words in ["and on http://[::1]:80\n", "and on http://127.0.0.1:80\n", "-d 'Hello' 'http://[::1]:80/publish"]
        {
            assert!(said.contains(words), "{said}");
        }
        let said = greeting(&[], &[Endpoint::Unix("/run/hub".into())]);
        assert!(
            said.contains("curl --unix-socket '/run/hub' -d 'Hello' 'http://localhost/publish?topic=demo'"),
            "{said}"
        );
        assert!(!said.contains("page"), "{said}");
    }

    #[test]
    fn the_base_url_of_each_provider_is_listed() {
        let said = greeting(&["--relay=ollama"], &[tcp("127.0.0.1:80")]);
        assert!(said.contains("  base_url   http://127.0.0.1:80/relay/ollama\n"), "{said}");
    }

    #[test]
    fn no_command_uses_an_unspecified_address_or_one_that_the_certificate_does_not_name() {
        let said = greeting(&["--open"], &[tcp("0.0.0.0:80")]);
        assert!(said.contains("'http://127.0.0.1:80/publish") && !said.contains("HOST"), "{said}");
        let said = greeting(&["--open", "--tls-acme=hub.example"], &[tcp("0.0.0.0:443")]);
        assert!(said.contains("'https://hub.example:443/publish") && !said.contains("HOST"), "{said}");
        let files = tempfile::NamedTempFile::new().expect("a file");
        let path = files.path().display();
        let flags = [&*format!("--tls-cert={path}"), &*format!("--tls-key={path}"), "--open"];
        let said = greeting(&flags, &[tcp("0.0.0.0:443")]);
        assert!(said.starts_with("gapless listening on https://0.0.0.0:443\n"), "{said}");
        assert!(
            said.contains("'https://HOST:443/publish") && said.contains("HOST is a name on the certificate"),
            "{said}"
        );
    }
}
