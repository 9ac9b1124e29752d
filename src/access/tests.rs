//! Attacks on authentication, and changes of its configuration, with real keys. Each threat is a test of its own.

use std::{io::Write, sync::Arc};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    keys::Material,
    settings::{IssuerSettings, KeySource, StaticToken},
    testing::{AUDIENCE, ISSUER, NOW, SECRET, TestKey, claims, claims_with, issuer, secret, signed},
    *,
};

fn access(issuers: Vec<IssuerSettings>) -> Access {
    Access::new(AccessSettings { issuers, ..AccessSettings::default() }).expect("sound")
}

fn hs() -> IssuerSettings {
    issuer(&["HS256"], KeySource::Inline(SECRET.into()))
}

fn hs_token(claims: &Value) -> String {
    signed(&secret(Algorithm::HS256), Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims.to_string())
}

/// Authenticates a token at [`NOW`].
fn authenticate(access: &Access, token: &str) -> Result<Arc<Principal>, Refusal> {
    access.authenticate(token.as_bytes(), NOW)
}

fn jwk_file(keys: &[Value]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(json!({ "keys": keys }).to_string().as_bytes()).expect("written");
    file
}

#[test]
fn a_token_of_every_algorithm_is_good_for_its_own_key_alone() {
    let all: [(&str, Algorithm, usize); 9] = [
        ("EdDSA", Algorithm::EdDSA, 0),
        ("ES256", Algorithm::ES256, 1),
        ("ES384", Algorithm::ES384, 3),
        ("RS256", Algorithm::RS256, 2),
        ("RS384", Algorithm::RS384, 2),
        ("RS512", Algorithm::RS512, 2),
        ("PS256", Algorithm::PS256, 2),
        ("PS384", Algorithm::PS384, 2),
        ("PS512", Algorithm::PS512, 2),
    ];
    let header = |name: &str| json!({ "alg": name }).to_string();
    for (name, algorithm, index) in all {
        let pair = &TestKey::all()[index];
        let key = Material::private(&pair.pkcs8).expect("sound").pinned(&[algorithm], None).expect("fits");
        let token = signed(&key, algorithm, &header(name), &claims().to_string());
        let own = access(vec![issuer(&[name], KeySource::Inline(pair.public_pem()))]);
        assert_eq!(authenticate(&own, &token).map(|principal| principal.expires), Ok(Some(NOW + 60)), "{name}");
        let other = access(vec![issuer(&[name], KeySource::Inline(TestKey::fresh(pair.algorithm).public_pem()))]);
        assert_eq!(authenticate(&other, &token), Err(Refusal::Signature), "{name}");
    }
    for (name, algorithm) in [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        let token = signed(&secret(algorithm), algorithm, &header(name), &claims().to_string());
        assert!(
            authenticate(&access(vec![issuer(&[name], KeySource::Inline(SECRET.into()))]), &token).is_ok(),
            "{name}"
        );
        let other = access(vec![issuer(&[name], KeySource::Inline(SECRET.to_uppercase()))]);
        assert_eq!(authenticate(&other, &token), Err(Refusal::Signature), "{name}");
    }
}

#[test]
fn none_is_refused_in_any_spelling() {
    let body = BASE64_URL_SAFE_NO_PAD.encode(claims().to_string());
    for access in [access(vec![hs()]), TestKey::all()[0].access()] {
        for name in ["none", "None", "NONE", "nOnE", "", "null", "HS256\0", "hs256", "none "] {
            let header = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": name }).to_string());
            for signature in ["", "AAAA", "e30"] {
                let result = authenticate(&access, &format!("{header}.{body}.{signature}"));
                let right = matches!(result, Err(Refusal::Algorithm { .. } | Refusal::Malformed { .. }));
                assert!(right, "{name:?} {signature:?}: {result:?}");
            }
        }
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    for (index, name) in [(1, "ES256"), (2, "RS256"), (0, "EdDSA")] {
        let pair = &TestKey::all()[index];
        let access = access(vec![issuer(&[name], KeySource::Inline(pair.public_pem())), hs()]);
        for public in [pair.public_pem().into_bytes(), pair.public_pem().trim().into(), pair.spki()] {
            let key = Material::secret(&public).pinned(&[Algorithm::HS256], None).expect("fits");
            let token = signed(&key, Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims().to_string());
            assert_eq!(authenticate(&access, &token), Err(Refusal::Signature), "{name}, and HS256 is another issuer's");
            assert!(matches!(authenticate(&pair.access(), &token), Err(Refusal::Algorithm { .. })), "{name}");
        }
    }
}

#[test]
fn an_algorithm_that_is_not_pinned_is_refused_and_the_accepted_ones_are_named() {
    let pair = &TestKey::all()[2];
    let key = Material::private(&pair.pkcs8).expect("sound").pinned(&[Algorithm::PS256], None).expect("fits");
    let token = signed(&key, Algorithm::PS256, r#"{"alg":"PS256"}"#, &claims().to_string());
    let result = authenticate(&access(vec![issuer(&["RS512", "RS256"], KeySource::Inline(pair.public_pem()))]), &token);
    assert_eq!(result, Err(Refusal::Algorithm { accepted: "RS256, RS512".into() }), "the very key, another padding");
}

#[test]
fn a_header_cannot_bring_its_own_key() {
    let (own, evil) = (&TestKey::all()[1], TestKey::fresh(Algorithm::ES256));
    let access = own.access();
    let chain = BASE64_STANDARD.encode(evil.spki());
    for header in [
        json!({ "alg": "ES256", "jwk": evil.jwk("x") }),
        json!({ "alg": "ES256", "jku": "http://127.0.0.1:9/keys" }),
        json!({ "alg": "ES256", "x5u": "http://127.0.0.1:9/keys" }),
        json!({ "alg": "ES256", "x5c": [chain] }),
    ] {
        let token = evil.signed(&header.to_string(), &claims().to_string());
        assert_eq!(authenticate(&access, &token), Err(Refusal::Signature), "{header}");
        let good = own.signed(&header.to_string(), &claims().to_string());
        assert!(authenticate(&access, &good).is_ok(), "and the header does no harm: {header}");
    }
}

#[test]
fn a_key_is_valid_only_for_its_own_issuer_whatever_its_kid() {
    let (one, other) = (&TestKey::all()[1], TestKey::fresh(Algorithm::ES256));
    let (first, second) = (jwk_file(&[one.jwk("same")]), jwk_file(&[other.jwk("same")]));
    let at = |file: &tempfile::NamedTempFile, name: &str| {
        let keys = KeySource::File(file.path().into());
        IssuerSettings { issuer: name.into(), ..issuer(&["ES256"], keys) }
    };
    let access = access(vec![at(&first, "one"), at(&second, "other")]);
    let token = |pair: &TestKey, iss: &str| {
        pair.signed(r#"{"alg":"ES256","kid":"same"}"#, &claims_with("iss", Some(json!(iss))).to_string())
    };
    assert!(
        authenticate(&access, &token(one, "one")).is_ok() && authenticate(&access, &token(&other, "other")).is_ok()
    );
    assert_eq!(authenticate(&access, &token(one, "other")), Err(Refusal::Issuer { expected: "one".into() }));
    assert_eq!(authenticate(&access, &token(&other, "one")), Err(Refusal::Issuer { expected: "other".into() }));
}

#[test]
fn a_key_name_is_only_compared() {
    let pair = &TestKey::all()[1];
    let file = jwk_file(&[pair.jwk("a")]);
    let access = access(vec![issuer(&["ES256"], KeySource::File(file.path().into()))]);
    let token = |kid: &str| pair.signed(&json!({ "alg": "ES256", "kid": kid }).to_string(), &claims().to_string());
    assert!(authenticate(&access, &token("a")).is_ok());
    for kid in ["../../../../dev/null", "/dev/null", "a\0", "A", "", "' OR 1=1 --", "http://127.0.0.1/", "a "] {
        assert_eq!(authenticate(&access, &token(kid)), Err(Refusal::UnknownKey), "{kid:?}");
    }
    assert!(authenticate(&access, &pair.token(&claims())).is_ok(), "a token without one is tried with every key");
}

#[test]
fn two_issuers_may_share_a_key_with_an_audience_each() {
    let issuers = [("one", "a"), ("two", "b")].map(|(name, audience)| IssuerSettings {
        issuer: name.into(),
        audience: audience.into(),
        ..hs()
    });
    let access = access(issuers.to_vec());
    let token = |iss: &str, aud: &str| {
        let mut claims = claims_with("iss", Some(json!(iss)));
        claims["aud"] = json!(aud);
        authenticate(&access, &hs_token(&claims))
    };
    assert!(token("one", "a").is_ok() && token("two", "b").is_ok());
    assert_eq!(token("one", "b"), Err(Refusal::Audience { expected: "a".into() }));
    assert_eq!(token("three", "a"), Err(Refusal::Issuer { expected: "one".into() }));
}

#[test]
fn claims_are_read_only_after_the_signature_is_verified() {
    let access = TestKey::all()[1].access();
    let evil = TestKey::fresh(Algorithm::ES256);
    for claims in [claims_with("exp", Some(json!(1))), claims_with("aud", None), json!({ "exp": "<script>" })] {
        let result = authenticate(&access, &evil.token(&claims)).expect_err("not its key");
        assert_eq!(result, Refusal::Signature, "and nothing about what it says");
    }
}

#[test]
fn signed_claims_are_checked_strictly() {
    let pair = &TestKey::all()[1];
    let result = |claims: &str| pair.access().authenticate(pair.signed(r#"{"alg":"ES256"}"#, claims).as_bytes(), NOW);
    let text = claims().to_string();
    assert!(result(&text).is_ok());
    let twice = text.replacen('{', r#"{"exp":99999999999,"#, 1);
    let problem = "has a duplicate key";
    assert_eq!(result(&twice), Err(Refusal::Malformed { part: "claims", problem }));
    let deep = text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(100), "]".repeat(100)), 1);
    assert_eq!(result(&deep), Err(Refusal::Malformed { part: "claims", problem: "is nested too deeply" }));
    assert!(
        matches!(result("[]"), Err(Refusal::Malformed { .. })) && matches!(result("x"), Err(Refusal::Malformed { .. }))
    );
}

#[test]
fn a_token_that_is_too_long_is_refused() {
    let pair = &TestKey::all()[1];
    let padded = |bytes: usize| pair.token(&claims_with("x", Some(json!("x".repeat(bytes)))));
    let fits = (5000..8192).map(padded).find(|token| token.len() > MAX_CREDENTIAL_BYTES - 4).expect("there is one");
    assert!(fits.len() <= MAX_CREDENTIAL_BYTES && authenticate(&pair.access(), &fits).is_ok(), "{}", fits.len());
    assert_eq!(authenticate(&pair.access(), &padded(8192)), Err(Refusal::TooLong));
    assert_eq!(
        Access::new(AccessSettings::default()).expect("open").authenticate(&[b'.'; 8193], NOW),
        Err(Refusal::TooLong)
    );
}

#[test]
fn the_number_of_verified_signatures_is_bounded() {
    let mine = &TestKey::all()[1];
    let others: Vec<Value> =
        (0..8).map(|index| TestKey::fresh(Algorithm::ES256).jwk(&format!("other-{index}"))).collect();
    let file = jwk_file(&[&others[..], &[mine.jwk("mine")]].concat());
    let access = access(vec![issuer(&["ES256"], KeySource::File(file.path().into()))]);
    assert_eq!(
        authenticate(&access, &mine.token(&claims())),
        Err(Refusal::Signature),
        "the ninth of nine without a name"
    );
    assert!(authenticate(&access, &mine.signed(r#"{"alg":"ES256","kid":"mine"}"#, &claims().to_string())).is_ok());
    let unnamed = IssuerSettings { keys: KeySource::Inline(mine.public_pem().repeat(9)), ..mine.issuer() };
    let result = Access::new(AccessSettings { issuers: vec![unnamed], ..AccessSettings::default() }).expect_err("nine");
    assert!(result[0].1.contains("more than 8 keys for ES256"), "{result:?}");
}

#[test]
fn a_holders_name_has_the_subject_and_the_issuer() {
    let access = access(vec![hs()]);
    let holder = |claims: &Value| authenticate(&access, &hs_token(claims)).expect("good").holder.clone();
    assert_eq!(holder(&claims()), Some(format!("ann of {ISSUER}").into()));
    assert_eq!(holder(&claims_with("sub", None)), Some(format!("of {ISSUER}").into()));
}

#[test]
fn a_jwt_without_configured_issuers_has_its_own_refusal() {
    let grant = Grant { subscribe: vec![crate::event::Filter::new("a").expect("valid")], ..Grant::default() };
    let access = Access::new(AccessSettings { anonymous: grant, ..AccessSettings::default() }).expect("sound");
    assert_eq!(authenticate(&access, &hs_token(&claims())), Err(Refusal::NoIssuers));
    for junk in ["", "hunter2", "a.b", "a.b.c.d", "Bearer x"] {
        assert_eq!(authenticate(&access, junk), Err(Refusal::Unknown), "{junk}");
    }
}

#[test]
fn every_mistake_of_every_issuer_is_reported_without_its_secret() {
    let issuers = vec![
        issuer(&["RS257", "none"], KeySource::Inline("hunter2".into())),
        issuer(&["HS256"], KeySource::Inline("hunter2".into())),
        issuer(&["EdDSA"], KeySource::Inline("hunter2".into())),
        issuer(&["EdDSA"], KeySource::File("/no/such/file".into())),
        issuer(&["EdDSA"], KeySource::Jwks("http://login.example/?code=hunter2".into())),
        issuer(&["HS256"], KeySource::Jwks("https://login.example/".into())),
    ];
    let settings = AccessSettings { issuers, revoked: Some("/no/such/list".into()), ..AccessSettings::default() };
    let result = Access::new(settings).expect_err("wrong");
    let lines: Vec<String> = result.iter().map(|(key, problem)| format!("{key}: {problem}")).collect();
    assert_eq!(lines.len(), 8, "{lines:#?}");
    for (line, want) in lines.iter().zip([
        "issuer 1 (\"https://login.example\"): algorithms has \"RS257\"",
        "issuer 1 (\"https://login.example\"): algorithms has none",
        "key is a secret of 7 bytes, but HS256 needs 32",
        "key is neither PEM nor a JWK set",
        "/no/such/file cannot be read",
        "jwks is http, so anybody",
        "jwks cannot deliver the secret",
        "access.revoked: /no/such/list cannot be read",
    ]) {
        assert!(line.contains(want) && !line.contains("hunter2"), "{want}: {line}");
    }
    let many = AccessSettings { issuers: vec![hs(); 17], ..AccessSettings::default() };
    assert!(Access::new(many).expect_err("too many")[0].1.contains("at most 16"));
}

#[test]
fn a_key_file_is_bounded() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&vec![b'x'; 256 << 10]).expect("written");
    let secret = issuer(&["HS256"], KeySource::File(file.path().into()));
    access(vec![secret.clone()]);
    file.write_all(b"x").expect("written");
    let result =
        Access::new(AccessSettings { issuers: vec![secret], ..AccessSettings::default() }).expect_err("too large");
    assert!(result[0].1.contains("more than 262144 bytes"), "{result:?}");
}

fn static_token(name: &str, token: &[u8], grant: Grant) -> StaticToken {
    StaticToken { name: name.into(), sha256: sha256(token), grant }
}

fn with_list(list: &str) -> Access {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(list.as_bytes()).expect("written");
    let tokens = vec![static_token("ci", b"gpl_ci", Grant::everything())];
    let revoked = Some(file.path().to_owned());
    Access::new(AccessSettings { tokens, issuers: vec![hs()], revoked, ..AccessSettings::default() }).expect("sound")
}

#[test]
fn a_revoked_credential_is_refused_and_not_renewed() {
    let token = hs_token(&claims_with("jti", Some(json!("id-1"))));
    let hex = hex(&sha256(jwt::message(token.as_bytes())));
    let before = with_list("");
    let (jwt, fixed) = (authenticate(&before, &token).expect("good"), authenticate(&before, "gpl_ci").expect("good"));
    for line in ["jti:id-1".to_owned(), "sub:ann".to_owned(), format!("sha256:{hex}")] {
        let access = with_list(&line);
        assert_eq!(authenticate(&access, &token), Err(Refusal::Revoked), "{line}");
        assert_eq!(access.renew(&jwt, NOW), Err(Refusal::Revoked), "{line}");
        assert!(authenticate(&access, "gpl_ci").is_ok() && access.renew(&fixed, NOW).is_ok(), "{line}");
    }
    let hex = super::hex(&sha256(b"gpl_ci"));
    for line in ["token:ci".to_owned(), format!("sha256:{hex}")] {
        let access = with_list(&line);
        assert_eq!(authenticate(&access, "gpl_ci"), Err(Refusal::Revoked), "{line}");
        assert_eq!(access.renew(&fixed, NOW), Err(Refusal::Revoked), "{line}");
        assert!(authenticate(&access, &token).is_ok() && access.renew(&jwt, NOW).is_ok(), "{line}");
    }
}

/// Another valid signature of the same message: in ECDSA, `n - s` is as valid as `s`.
fn other_signature(token: &str) -> String {
    const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let mut borrow = 0;
    for at in (0..32).rev() {
        let digit = i16::from(ORDER[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        signature[32 + at] = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_revoked_token_stays_revoked_with_a_rewritten_signature() {
    let pair = &TestKey::all()[1];
    let token = pair.token(&claims());
    let rewritten = other_signature(&token);
    assert_ne!(token, rewritten);
    assert!(authenticate(&pair.access(), &rewritten).is_ok(), "both signatures are valid");
    let hex = hex(&sha256(jwt::message(token.as_bytes())));
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "sha256:{hex}").expect("written");
    let revoked = Some(file.path().to_owned());
    let access = Access::new(AccessSettings { issuers: vec![pair.issuer()], revoked, ..AccessSettings::default() })
        .expect("sound");
    assert_eq!(authenticate(&access, &token), Err(Refusal::Revoked));
    assert_eq!(authenticate(&access, &rewritten), Err(Refusal::Revoked));
}

#[test]
fn a_principal_is_renewed_while_its_key_and_its_time_are_valid() {
    let pair = &TestKey::all()[1];
    let principal = authenticate(&pair.access(), &pair.token(&claims())).expect("good");
    let after = |change: &dyn Fn(&mut IssuerSettings), now| {
        let mut issuer = pair.issuer();
        change(&mut issuer);
        access(vec![issuer]).renew(&principal, now)
    };
    assert_eq!(after(&|_| {}, NOW + 59).as_ref(), Ok(&principal));
    assert_eq!(after(&|_| {}, NOW + 60), Err(Refusal::Expired { at: NOW + 60 }));
    assert_eq!(after(&|issuer| issuer.issuer.push('2'), NOW), Err(Refusal::KeyGone));
    assert_eq!(after(&|issuer| issuer.audience.push('2'), NOW), Err(Refusal::KeyGone));
    let other = KeySource::Inline(TestKey::fresh(Algorithm::ES256).public_pem());
    assert_eq!(after(&|issuer| issuer.keys = other.clone(), NOW), Err(Refusal::KeyGone));
    let both = KeySource::Inline(TestKey::fresh(Algorithm::ES256).public_pem() + &pair.public_pem());
    assert!(after(&|issuer| issuer.keys = both.clone(), NOW).is_ok(), "a rotation has both for a while");
}

#[test]
fn a_static_token_is_renewed_with_its_current_grant() {
    let with = |tokens| Access::new(AccessSettings { tokens, ..AccessSettings::default() }).expect("sound");
    let principal = authenticate(&with(vec![static_token("ci", b"x", Grant::everything())]), "x").expect("good");
    let less = Grant { admin: true, ..Grant::default() };
    let renewed = with(vec![static_token("ci", b"x", less.clone())]).renew(&principal, NOW).expect("still there");
    assert_eq!(renewed.grant, less);
    assert_eq!(with(vec![static_token("ci", b"y", less)]).renew(&principal, NOW), Err(Refusal::Unknown));
}

#[test]
fn an_anonymous_principal_is_renewed_with_the_current_anonymous_grant() {
    let open = Access::new(AccessSettings::default()).expect("open");
    let closed = access(vec![hs()]);
    let renewed = closed.renew(open.anonymous(), NOW).expect("anonymous requests are always authenticated");
    assert_eq!(renewed.grant, Grant::default(), "the hub is not open any more");
    assert!(open.is_open() && !closed.is_open());
}

#[test]
fn a_verified_token_is_explained_completely() {
    let access = access(vec![hs()]);
    let mut claims = claims_with("exp", Some(json!(NOW - 100)));
    claims["aud"] = json!("gapless");
    claims["nbf"] = json!(NOW + 100);
    let found = access.explain(hs_token(&claims).as_bytes(), NOW).expect("its signature is good");
    assert_eq!(found.refusals, [Refusal::Expired { at: NOW - 100 }, Refusal::NotYet { from: NOW + 100 }]);
    assert_eq!((found.holder.as_deref(), found.issuer.as_deref()), (Some(&*format!("ann of {ISSUER}")), Some(ISSUER)));
    assert_eq!(found.grant.publish.len(), 1, "the permissions it would have");
    assert_eq!(access.explain(b"a.b.c", NOW).err(), authenticate(&access, "a.b.c").err());
}

proptest! {
    #[test]
    fn a_changed_token_is_refused(at in 0usize..400, byte in any::<u8>()) {
        let access = Access::new(AccessSettings { issuers: vec![hs()], ..AccessSettings::default() }).expect("sound");
        let good = hs_token(&claims());
        let mut token = good.clone().into_bytes();
        let at = at % token.len();
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(access.authenticate(&token, NOW).is_err(), "{}", String::from_utf8_lossy(&token));
        prop_assert!(authenticate(&access, &good).is_ok());
    }
}

#[test]
fn a_minted_token_has_the_requested_grant() {
    let filters = |text: &str| vec![crate::event::Filter::new(text).expect("valid")];
    let relay = ["ollama", "openai/gpt-*"].map(|text| RelayGrant::new(text).expect("valid"));
    let grant = Grant { publish: filters("jobs/*"), subscribe: filters("**"), relay: relay.into(), admin: true };
    let file = jwk_file(&[json!({ "kid": "a", "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET) })]);
    let named = issuer(&["HS512"], KeySource::File(file.path().into()));
    for issuer in [hs(), named] {
        let settings = AccessSettings { issuers: vec![issuer], ..AccessSettings::default() };
        let token = mint::Mint::new(&settings, None, None).expect("a secret").token(&grant, Some("ci"), NOW, 60);
        let principal = authenticate(&Access::new(settings).expect("sound"), &token).expect("good");
        assert_eq!(
            (&principal.grant, principal.holder.as_deref(), principal.expires),
            (&grant, Some(&*format!("ci of {ISSUER}")), Some(NOW + 60))
        );
        assert!(
            matches!(&principal.credential, CredentialKind::Jwt { id: Some(_), .. }),
            "it can be revoked by its jti"
        );
    }
}

#[test]
fn a_private_key_signs_for_the_issuer_with_its_public_key() {
    for pair in TestKey::all() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(pair.private_pem().as_bytes()).expect("written");
        let settings = AccessSettings { issuers: vec![hs(), pair.issuer()], ..AccessSettings::default() };
        let result = mint::Mint::new(&settings, Some("nobody"), None).expect_err("no such issuer");
        assert!(result.contains(ISSUER), "{result}");
        let only = AccessSettings { issuers: vec![pair.issuer()], ..AccessSettings::default() };
        assert!(mint::Mint::new(&only, None, None).expect_err("a public key").contains("--key-file"));
        let mint = mint::Mint::new(&only, Some(ISSUER), Some(file.path())).expect("its private key");
        let token = mint.token(&Grant::everything(), None, NOW, 60);
        assert!(authenticate(&Access::new(only).expect("sound"), &token).is_ok(), "{:?}", pair.algorithm);

        let stranger =
            AccessSettings { issuers: vec![TestKey::fresh(pair.algorithm).issuer()], ..AccessSettings::default() };
        let result = mint::Mint::new(&stranger, None, Some(file.path())).expect_err("not of the pair");
        assert!(result.contains("would be refused"), "{result}");
    }
    let nothing = mint::Mint::new(&AccessSettings::default(), None, None).expect_err("nothing configured");
    assert!(nothing.contains("[[access.issuers]]") && nothing.contains(AUDIENCE), "{nothing}");
}

#[test]
fn a_static_token_is_known_by_the_hash_that_is_printed_with_it() {
    let ((token, hash), (other, _)) = (mint::static_token(), mint::static_token());
    assert!(token.starts_with("gpl_") && token.len() == 47 && token != other, "{token}");
    assert_eq!(from_hex(&hash), Some(sha256(token.as_bytes())));
}
