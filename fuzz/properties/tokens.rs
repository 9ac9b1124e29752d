//! No bytes make token authentication panic, and only a token signed by a configured key is valid.
//!
//! Input: a token; `T` alone stands for a valid one. Then a valid token, overwritten with the input's bytes at the
//! offset in its first two.

use std::time::Duration;

use gapless::{
    access::{
        Access, AccessSettings, Grant,
        mint::Mint,
        settings::{IssuerSettings, KeySource},
    },
    event::Filter,
};

/// When the tokens are valid, in Unix seconds.
const NOW: u64 = 1_795_233_960;

struct Fixture {
    access: Access,
    valid: String,
}

/// Authenticates the input, and a valid token that the input has changed.
pub(crate) fn holds_for(input: &[u8]) {
    thread_local!(static FIXTURE: Fixture = Fixture::new());
    FIXTURE.with(|fixture| {
        fixture.authenticate(if input == b"T" { fixture.valid.as_bytes() } else { input });
        if let [high, low, over @ ..] = input {
            let mut token = fixture.valid.clone().into_bytes();
            let at = usize::from(u16::from_be_bytes([*high, *low])) % token.len();
            let end = token.len().min(at + over.len());
            token[at..end].copy_from_slice(&over[..end - at]);
            fixture.authenticate(&token);
        }
    });
}

impl Fixture {
    fn new() -> Self {
        let keys = KeySource::Inline("0123456789abcdef0123456789abcdef".into());
        let issuer =
            IssuerSettings { issuer: "me".into(), audience: "us".into(), algorithms: vec!["HS256".into()], keys };
        let leeway = Duration::from_secs(5);
        let settings = AccessSettings { issuers: vec![issuer], leeway, ..AccessSettings::default() };
        let mint = Mint::new(&settings, None, None).expect("a secret");
        let valid = mint.token(&grant(), Some("ann"), NOW, 60);
        Self { access: Access::new(settings).expect("valid"), valid }
    }

    /// A token is valid only if it is the valid one: to make another needs the key.
    fn authenticate(&self, token: &[u8]) {
        match self.access.authenticate(token, NOW) {
            Ok(principal) => {
                assert_eq!(token, self.valid.as_bytes(), "no configured key signed it");
                assert_eq!((&principal.grant, principal.holder.as_deref()), (&grant(), Some("ann of me")));
                assert_eq!(principal.expires, Some(NOW + 65));
            }
            Err(refusal) => {
                assert_ne!(token, self.valid.as_bytes(), "{refusal}");
                let text = refusal.to_string();
                assert!(!text.contains(char::is_control) && text.len() < 400, "{text}");
                assert_eq!(self.access.explain(token, NOW).err(), Some(refusal), "nothing to explain");
            }
        }
    }
}

fn grant() -> Grant {
    let filters = |text: &str| vec![Filter::new(text).expect("valid")];
    Grant { publish: filters("jobs/*"), subscribe: filters("jobs/**"), admin: true, ..Grant::default() }
}
