//! The site at `/site/`: its files for everyone, and no other file for anyone.

use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::support::{assert_problem, hub::Hub, tokens, wire};

/// A file that no answer may have.
const SECRET: &str = "the secret beside the site";

fn site() -> (TempDir, String) {
    let outer = tempfile::tempdir().unwrap();
    let site = outer.path().join("site");
    fs::create_dir_all(site.join("sub")).unwrap();
    fs::write(outer.path().join("secret"), SECRET).unwrap();
    fs::write(site.join(".env"), SECRET).unwrap();
    fs::write(site.join("index.html"), "<p>home").unwrap();
    fs::write(site.join("app.js"), "1").unwrap();
    fs::write(site.join("sub/page.html"), "<p>page").unwrap();
    symlink("../secret", site.join("link")).unwrap();
    symlink("..", site.join("up")).unwrap();
    let path = site.to_str().unwrap().into();
    (outer, path)
}

#[test]
fn a_site_is_served_to_everyone_and_the_console_stays() {
    let (_outer, site) = site();
    let hub = Hub::start_with(&["--site", &site, "--access-tokens", &tokens(&[("ci", "publish = [\"**\"]")])]);
    assert!(hub.get("/").text().contains("<title>gapless</title>"));
    for (target, want) in [("/site/", "<p>home"), ("/site/app.js", "1"), ("/site/sub/page.html?v=2", "<p>page")] {
        let answer = hub.get(target);
        assert_eq!((answer.status, &*answer.text()), (200, want), "{target}");
        assert_eq!(answer.headers.get("cache-control"), Some("no-cache"));
        assert_eq!(answer.headers.get("x-content-type-options"), Some("nosniff"));
        let policy = answer.headers.get("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
        let head = hub.request("HEAD", target, b"");
        let length = want.len().to_string();
        assert_eq!((head.status, head.headers.get("content-length"), head.body.len()), (200, Some(&*length), 0));
        let tag = answer.headers.get("etag").unwrap();
        let again = wire::request(hub.address, "GET", target, &[("if-none-match", tag), ("connection", "close")], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
    }
    assert_eq!(hub.get("/site").headers.get("location"), Some("./site/"));
    assert_problem(&hub.post("/site/app.js", &[], b"x"), 405, "method-not-allowed");
}

#[test]
fn no_path_leads_out_of_the_site() {
    let (_outer, site) = site();
    let hub = Hub::start_with(&["--site", &site]);
    let paths = [
        "/site/../secret",
        "/site/sub/../../secret",
        "/site/%2e%2e/secret",
        "/site/.%2E/secret",
        "/site/..%2fsecret",
        "/site/sub%2f..%2f..%2fsecret",
        "/site/..%5csecret",
        "/site/%252e%252e%252fsecret",
        "/site//../secret",
        "/site/./.././secret",
        "/site/link",
        "/site/up/secret",
        "/site/up/site/.env",
        "/site/.env",
        "/site/%2eenv",
        "/site/sub/..",
        "/site/..;/secret",
        "/site/%00/../../secret",
        "/site/index.html%00.js",
        "/site/\u{2025}/secret",
        "/site/..%c0%afsecret",
        "/site/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "//site/../secret",
        "/site///etc/passwd",
        "/site/file:///etc/passwd",
        "/site/../../../../../../etc/passwd",
    ];
    for path in paths {
        // By hand, because clients resolve dots before they send a path.
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = String::from_utf8_lossy(&wire::drained(&wire::send(hub.address, request.as_bytes()))).into_owned();
        assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(!answer.contains(SECRET) && !answer.contains("root:"), "{path}: {answer}");
    }
}

#[test]
fn a_hub_without_a_site_has_none_and_one_with_a_wrong_directory_does_not_start() {
    let hub = Hub::start();
    let problem = assert_problem(&hub.get("/site/index.html"), 404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("--site"), "{problem}");
    let (_outer, site) = site();
    for wrong in [format!("{site}/none"), format!("{site}/index.html")] {
        let (code, told) = Hub::refused(&["--site", &wrong]);
        assert!(code == Some(78) && told.contains("site: ") && told.contains("name a directory"), "{code:?} {told}");
    }
}
