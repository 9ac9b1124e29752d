//! Static tokens, known by their hashes only.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{CredentialKind, Principal, settings::StaticToken};

/// The static tokens of a configuration.
#[derive(Debug)]
pub(super) struct Tokens(Vec<([u8; 32], Arc<Principal>)>);

impl Tokens {
    pub(super) fn new(tokens: Vec<StaticToken>) -> Self {
        let principal = |StaticToken { name, sha256, grant }| {
            let credential = CredentialKind::Token { sha256 };
            (sha256, Arc::new(Principal { holder: Some(name.into()), grant, expires: None, credential }))
        };
        Self(tokens.into_iter().map(principal).collect())
    }

    /// The principal of the token with this hash. Compares with every hash in constant time, so that the duration does
    /// not depend on the token.
    pub(super) fn find(&self, sha256: &[u8; 32]) -> Option<Arc<Principal>> {
        let same = |known: &[u8; 32]| bool::from(known.ct_eq(sha256));
        let mut found = None;
        for (known, principal) in &self.0 {
            if same(known) {
                found = Some(principal);
            }
        }
        found.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, AccessSettings, Grant, Refusal};

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        // printf hunter2 | sha256sum
        let sha256 = *b"\xf5\x2f\xbd\x32\xb2\xb3\xb8\x6f\xf8\x8e\xf6\xc4\x90\x62\x82\x85\xf4\x82\xaf\x15\xdd\xcb\x29\x54\x1f\x94\xbc\xf5\x26\xa3\xf6\xc7";
        let token = |name: &str, sha256| StaticToken { name: name.into(), sha256, grant: Grant::everything() };
        let settings =
            AccessSettings { tokens: vec![token("a", [7; 32]), token("b", sha256)], ..AccessSettings::default() };
        let access = Access::new(settings).expect("sound");
        assert_eq!(access.authenticate(b"hunter2", 0).expect("known").holder.as_deref(), Some("b"));
        for wrong in
            ["hunter", "hunter22", "Hunter2", "", "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"]
        {
            assert_eq!(access.authenticate(wrong.as_bytes(), 0), Err(Refusal::Unknown), "{wrong}");
        }
    }
}
