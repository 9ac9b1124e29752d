//! The files of `make release`, made of the binary that is there.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use super::namespaces::directory;

/// Makes the files of a release; returns each by its name.
fn release(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let made = Command::new(format!("{}/deploy/release.sh", env!("CARGO_MANIFEST_DIR")))
        .args(["--binary", env!("CARGO_BIN_EXE_gapless"), "--compression", "none", "--out"])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Of the same program. Whether that is the same needs two builds with the profile `release`, and is not tested.
#[test]
fn a_release_has_the_same_bytes_in_another_directory_and_lists_what_is_in_it() {
    let (one, other) = (directory(), directory());
    let (files, again) = (release(one.path()), release(other.path()));
    assert_eq!(files.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        assert!(again[name] == *bytes, "{name} differs");
    }
    let checked =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(one.path()).output();
    assert!(checked.unwrap().status.success());
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    assert_eq!(sums.lines().count(), files.len() - 1, "each other file has a sum: {sums}");

    let bom = files.iter().find(|(name, _)| name.ends_with(".cdx.json")).unwrap().1;
    let bom: Value = serde_json::from_slice(bom).unwrap();
    let names: Vec<&str> =
        bom["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in ["hyper", "sled", "aws-lc-sys", "tikv-jemalloc-sys", "preact", "@preact/signals-core", "uplot"] {
        assert!(names.contains(&name), "{name}");
    }
    for name in ["proptest", "tempfile", "shuttle", "vite", "playwright-core"] {
        assert!(!names.contains(&name), "{name} is for tests");
    }

    let archive = files.keys().find(|name| name.ends_with(".tar.gz")).unwrap();
    let listed = Command::new("tar").arg("-tzf").arg(one.path().join(archive)).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for file in ["/gapless\n", "/LICENSE-MIT\n", "/deploy/gapless.service\n", "/docs/OPERATIONS.md\n"] {
        assert!(listed.contains(file), "{file}: {listed}");
    }
    for file in linked_from_the_documents() {
        assert!(listed.contains(&format!("/{file}")), "a document has a link to {file}: {listed}");
    }
}

/// Files and folders of `deploy` that the documents link to, but for those that need the source tree.
fn linked_from_the_documents() -> Vec<String> {
    const OF_SOURCES: [&str; 3] =
        ["deploy/Dockerfile", "deploy/grafana/dashboard.py", "deploy/prometheus/alerts.test.yml"];
    let documents = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
    let texts = documents.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let links = |text: String| {
        let targets = text.split("](../").skip(1).filter_map(|rest| rest.split([')', '#']).next().map(str::to_owned));
        targets.filter(|target| target.starts_with("deploy/")).collect::<Vec<_>>()
    };
    let found: Vec<String> = texts.flat_map(links).filter(|target| !OF_SOURCES.contains(&target.as_str())).collect();
    assert!(found.len() > 15, "{found:?}");
    found
}
