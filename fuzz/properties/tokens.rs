//! No bytes make the judge of tokens panic, and only what a configured key has signed is good.
//!
//! Input: a token; `T` alone stands for a good one. Then the same good token with the input's bytes written over it: the first two
//! say where.

use std::time::Duration;

use gapless::{
    access::{
        Access, AccessSettings, Grant,
        mint::Mint,
        settings::{IssuerSettings, KeySource},
    },
    event::Filter,
};

/// When the tokens are good, in seconds since 1970.
const NOW: u64 = 1_795_233_960;

struct House {
    access: Access,
    good: String,
}

/// Judges the input, and a good token that the input has changed.
pub(crate) fn holds_for(input: &[u8]) {
    thread_local!(static HOUSE: House = House::new());
    HOUSE.with(|house| {
        house.authenticate(if input == b"T" { house.good.as_bytes() } else { input });
        if let [high, low, over @ ..] = input {
            let mut token = house.good.clone().into_bytes();
            let at = usize::from(u16::from_be_bytes([*high, *low])) % token.len();
            let end = token.len().min(at + over.len());
            token[at..end].copy_from_slice(&over[..end - at]);
            house.authenticate(&token);
        }
    });
}

impl House {
    fn new() -> Self {
        let keys = KeySource::Inline("0123456789abcdef0123456789abcdef".into());
        let issuer =
            IssuerSettings { issuer: "me".into(), audience: "us".into(), algorithms: vec!["HS256".into()], keys };
        let leeway = Duration::from_secs(5);
        let settings = AccessSettings { issuers: vec![issuer], leeway, ..AccessSettings::default() };
        let mint = Mint::new(&settings, None, None).expect("a secret");
        let good = mint.token(&grant(), Some("ann"), NOW, 60);
        Self { access: Access::new(settings).expect("sound"), good }
    }

    /// A token is good when it is the good one. Who could make another could sign.
    fn authenticate(&self, token: &[u8]) {
        match self.access.authenticate(token, NOW) {
            Ok(pass) => {
                assert_eq!(token, self.good.as_bytes(), "signed by nobody");
                assert_eq!((&pass.grant, pass.holder.as_deref()), (&grant(), Some("ann of me")));
                assert_eq!(pass.expires, Some(NOW + 65));
            }
            Err(refusal) => {
                assert_ne!(token, self.good.as_bytes(), "{refusal}");
                let told = refusal.to_string();
                assert!(!told.contains(char::is_control) && told.len() < 400, "{told}");
                assert_eq!(self.access.explain(token, NOW).err(), Some(refusal), "nothing to explain");
            }
        }
    }
}

fn grant() -> Grant {
    let filters = |text: &str| vec![Filter::new(text).expect("valid")];
    Grant { publish: filters("jobs/*"), subscribe: filters("jobs/**"), admin: true }
}
