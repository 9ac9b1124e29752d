//! Where to look, for whoever has just started a hub for the first time.

use std::{fmt::Write, net::SocketAddr};

use crate::{
    config::Config,
    http::{listen::Endpoint, peer::AdminListener},
};

/// The words of greeting: every place, and commands that work as they stand, or say what to put in.
#[must_use]
pub fn text(config: &Config, places: &[Endpoint], operators: &[Endpoint]) -> String {
    let hub = Face { tls: config.speaks_tls(), certified: config.tls.acme.first().map(String::as_str) };
    let mut out = String::new();
    for (index, place) in places.iter().enumerate() {
        let words = if index == 0 { "gapless listening on" } else { "                and on" };
        say(&mut out, format_args!("{words} {}", hub.named(place)));
    }
    // What anyone may do needs no token, and what nobody may do without one is worth a word.
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
        say(&mut out, format_args!("  page       {url}/"));
    }
    say(&mut out, format_args!("  publish    curl {through}{token}-d 'Hello' '{url}/publish?topic=demo'"));
    say(&mut out, format_args!("  subscribe  curl {through}{token}-N '{url}/events?topic=demo&from=earliest'"));
    for place in operators {
        // Where only this machine comes they speak no TLS.
        let free = super::listening::operators(config) == AdminListener::ApartFree;
        let face = Face { tls: hub.tls && !free, ..hub };
        match place {
            Endpoint::Tcp(address) => say(&mut out, format_args!("  figures    {}/admin/stats", face.url(*address))),
            Endpoint::Unix(path) => {
                let path = path.display();
                say(&mut out, format_args!("  figures    curl --unix-socket '{path}' http://localhost/admin/stats"));
            }
        }
    }
    if network.is_some() && hub.tls && hub.certified.is_none() {
        out.push_str("\n  HOST is a name on the certificate; for an issuer of your own add --cacert FILE\n");
    }
    out
}

fn say(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("memory");
}

/// How the hub is asked.
#[derive(Clone, Copy)]
struct Face<'a> {
    tls: bool,
    /// A name that its certificate has, when it is known.
    certified: Option<&'a str>,
}

impl Face<'_> {
    /// The place itself.
    fn named(self, place: &Endpoint) -> String {
        match place {
            Endpoint::Tcp(address) if self.tls => format!("https://{address}"),
            Endpoint::Tcp(address) => format!("http://{address}"),
            Endpoint::Unix(_) => place.to_string(),
        }
    }

    /// A URL that a client can use. A certificate names no address; and all addresses of this machine are none of them.
    fn url(self, address: SocketAddr) -> String {
        if self.tls {
            return format!("https://{}:{}", self.certified.unwrap_or("HOST"), address.port());
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
    fn every_place_is_named_and_the_commands_go_to_the_first_that_any_client_reaches() {
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
    fn no_command_goes_to_an_address_that_is_none_or_that_no_certificate_names() {
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
