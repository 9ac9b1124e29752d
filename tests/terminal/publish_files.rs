//! `gapless publish --file`: files as events, or their lines, against a real hub.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use super::{
    process::{gapless, output, text},
    support::hub::Hub,
};

struct Files {
    dir: tempfile::TempDir,
    hub: Hub,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), hub: Hub::start_with(&["--engine", "memory"]) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn publish(&self, topic: &str, args: &[&str], files: &[&Path]) -> Output {
        let url = self.hub.url();
        let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let mut line: Vec<&str> = vec!["publish"];
        line.extend(Some(topic).filter(|topic| !topic.is_empty()));
        line.extend(args);
        line.push("--file");
        line.extend(files.iter().map(String::as_str));
        line.extend(["--url", &url]);
        output(&mut gapless(&line))
    }
}

fn receipts(output: &Output) -> usize {
    text(&output.stdout).lines().filter(|line| line.contains("\"id\":")).count()
}

#[test]
fn a_file_is_an_event_and_several_are_one_each_in_order() {
    let files = Files::new();
    let [one, two, three] = [("1", "first\nline\n"), ("2", ""), ("3", "größe \"x\"")]
        .map(|(name, data)| files.write(name, data.as_bytes()));
    let published = files.publish("single", &["--event", "e"], &[&one]);
    assert_eq!((published.status.code(), receipts(&published)), (Some(0), 1), "{}", text(&published.stderr));
    assert_eq!(files.hub.kept("single"), ["first\nline\n"]);
    let published = files.publish("all", &[], &[&one, &two, &three]);
    assert_eq!((published.status.code(), receipts(&published)), (Some(0), 3), "{}", text(&published.stderr));
    assert_eq!(files.hub.kept("all"), ["first\nline\n", "", "größe \"x\""]);
}

#[test]
fn a_file_that_cannot_be_an_event_is_named_and_the_others_are_published() {
    let files = Files::new();
    let (good, bad, last) = (files.write("good", b"a"), files.write("bad", b"ab\xff"), files.write("last", b"z"));
    let published = files.publish("t", &[], &[&good, &bad, &last]);
    let told = text(&published.stderr);
    assert_eq!(
        (published.status.code(), files.hub.kept("t")),
        (Some(1), vec!["a".to_owned(), "z".to_owned()]),
        "{told}"
    );
    assert!(told.contains(&format!("gapless: {}: byte 3 is not UTF-8", bad.display())), "{told}");
    assert!(told.contains("1 of 3 files were refused, file 2; all others are published"), "{told}");
}

#[test]
fn lines_of_files_are_events_and_a_bad_one_is_named_by_its_file_and_line() {
    let files = Files::new();
    let (one, two) = (files.write("one", b"a\nb"), files.write("two", b"c\r\nx\xff\nd\n"));
    let published = files.publish("t", &["--lines"], &[&one, &two]);
    let told = text(&published.stderr);
    assert_eq!(
        (published.status.code(), files.hub.kept("t").concat(), receipts(&published)),
        (Some(1), "abcd".into(), 4),
        "{told}"
    );
    assert!(told.contains(&format!("gapless: {} line 2: byte 2 is not UTF-8", two.display())), "{told}");
    assert!(told.contains("1 of 5 lines were refused, line 4;"), "{told}");
    let ndjson = files.write("n", b"{\"topic\":\"u\",\"data\":\"1\"}\n\n{\"topic\":\"u\",\"data\":\"2\"}\n");
    let published = files.publish("", &["--ndjson"], &[&ndjson]);
    assert_eq!(
        (published.status.code(), files.hub.kept("u").concat()),
        (Some(0), "12".into()),
        "{}",
        text(&published.stderr)
    );
}

#[test]
fn a_missing_file_or_a_wrong_combination_publishes_nothing() {
    let files = Files::new();
    let (one, none) = (files.write("one", b"a"), files.dir.path().join("none"));
    for args in [&[][..], &["--lines"]] {
        for wrong in [&*none, files.dir.path()] {
            let published = files.publish("t", args, &[&one, wrong]);
            let told = text(&published.stderr);
            assert_eq!((published.status.code(), &*text(&published.stdout)), (Some(1), ""), "{told}");
            assert!(told.contains("cannot read") && told.contains(&wrong.display().to_string()), "{told}");
        }
    }
    let keyed = files.publish("t", &["--key", "K"], &[&one, &one]);
    assert!(keyed.status.code() == Some(2) && text(&keyed.stderr).contains("--key"), "{}", text(&keyed.stderr));
    let both = files.publish("t", &["data"], &[&one]);
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(files.hub.kept("t"), [""; 0]);
}

#[test]
fn a_dash_is_stdin() {
    let files = Files::new();
    let (one, stdin) = (files.write("one", b"a"), files.write("stdin", b"from stdin"));
    let one = one.display().to_string();
    let line = ["publish", "t", "--file", &one, "-", "--url", &files.hub.url()];
    let published = output(gapless(&line).stdin(Stdio::from(fs::File::open(stdin).unwrap())));
    assert_eq!(published.status.code(), Some(0), "{}", text(&published.stderr));
    assert_eq!(files.hub.kept("t"), ["a", "from stdin"]);
}
