//! Progress of what takes longer than a second: drawn on a terminal, removed at the end, and nowhere else.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    process::{gapless, output, publish_all, signal, text, wait},
    pty::{Descriptors, OnTerminal},
    support::{eventually, hub::Hub},
};

/// A store with a sealed segment.
fn store(data: &Path) {
    let mut hub = Hub::start_on(data, &["--store-rotate-bytes", "1MiB"]);
    let sealed = || fs::read_dir(data.join("seg")).unwrap().any(|entry| entry.unwrap().path().join("summary").exists());
    for round in 0..20 {
        publish_all(&hub, "a", (0..3000).map(|n| format!("{round} {n} some text that is the data of an event")));
    }
    eventually("a segment is sealed", sealed);
    hub.end();
}

/// A file that blocks its reader until it is released, as a slow disk does.
struct SlowFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl SlowFile {
    /// In place of the summary of the first segment.
    fn of(data: &Path) -> Self {
        let path = data.join("seg/00000000000000000001/summary");
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self { path, bytes }
    }

    /// Gives the reader the contents; later readers find an ordinary file.
    fn release(self) {
        // A reader holds the other end, so this does not block for long.
        let mut pipe = fs::File::options().write(true).open(&self.path).unwrap();
        fs::remove_file(&self.path).unwrap();
        fs::write(&self.path, &self.bytes).unwrap();
        pipe.write_all(&self.bytes).unwrap();
    }
}

/// What a terminal of 100 columns shows at the end: lines, with the control sequences of a progress line obeyed.
fn screen(shown: &str) -> String {
    let (mut lines, mut row, mut column) = (vec![Vec::<char>::new()], 0_usize, 0_usize);
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                let mut last = ' ';
                for c in chars.by_ref() {
                    last = c;
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                    number.push(c);
                }
                match last {
                    'K' if number == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'A' => row = row.saturating_sub(number.parse().unwrap_or(1)),
                    _ => {}
                }
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_store_that_opens_slowly_shows_how_far_it_is_and_log_lines_stay_whole() {
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let slow = SlowFile::of(data.path());
    let dir = data.path().display().to_string();
    let hub = OnTerminal::start(&mut gapless(&["serve", "--listen", "127.0.0.1:0", "--data", &dir]), Descriptors::Both);
    hub.wait_for("opening segments ");
    hub.wait_for("the disk is slow");
    // Drawn again below the line.
    let after = hub.shown().rfind("the disk is slow").unwrap();
    eventually("it is drawn again", || hub.shown()[after..].contains("opening segments "));
    slow.release();
    hub.wait_for("listening on");
    hub.wait_for("subscribe");
    signal(&hub.child, Signal::TERM);
    let (shown, code) = hub.end();
    let left = screen(&shown);
    assert_eq!(code, Some(0), "{left}");
    assert!(!left.contains("opening segments") && !left.contains(" of "), "the line is removed: {left}");
    let line = left.lines().find(|line| line.contains("the disk is slow")).unwrap();
    assert!(line.contains("WARN"), "{line:?} of {left}");
}

#[test]
fn without_a_terminal_or_on_a_dumb_one_a_slow_opening_is_a_line_of_the_log() {
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let dir = data.path().display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", &dir];
    let slow = SlowFile::of(data.path());
    let mut piped = gapless(&serve).spawn().unwrap();
    let mut log = BufReader::new(piped.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("the store is still being opened") {
        assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(said.contains("opening segments") && !said.contains('\u{1b}') && !said.contains("[="), "{said}");
    slow.release();
    let mut greeting = String::new();
    BufReader::new(piped.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    signal(&piped, Signal::TERM);
    assert_eq!(wait(&mut piped).code(), Some(0));

    let slow = SlowFile::of(data.path());
    let dumb = OnTerminal::start(gapless(&serve).env("TERM", "dumb"), Descriptors::StderrOnly);
    // Written after a time in which a line would have been drawn.
    dumb.wait_for("the disk is slow");
    slow.release();
    dumb.wait_for("serving");
    signal(&dumb.child, Signal::TERM);
    let (shown, _) = dumb.end();
    assert!(!shown.contains('\u{1b}') && !shown.contains("opening segments"), "{shown:?}");
}

#[test]
fn a_check_shows_how_far_it_is_and_leaves_only_its_report() {
    let data = tempfile::tempdir().unwrap();
    store(data.path());
    let slow = SlowFile::of(data.path());
    let dir = data.path().display().to_string();
    let check = OnTerminal::start(&mut gapless(&["check", "--store", &dir]), Descriptors::Both);
    check.wait_for("reading segment 1 ");
    slow.release();
    let (shown, code) = check.end();
    let left = screen(&shown);
    assert_eq!(code, Some(0), "{left}");
    assert!(left.contains(": sound\n") && !left.contains("reading segment"), "{left}");
    assert!(shown.contains("copied to"), "how much space it takes is told before: {left}");

    let piped = output(&mut gapless(&["check", "--store", &dir]));
    assert_eq!((piped.status.code(), &*text(&piped.stderr)), (Some(0), ""));
    assert!(!text(&piped.stdout).contains('\u{1b}'));
}

#[test]
fn a_bench_shows_what_it_has_done() {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let line = ["bench", "--seconds", "3", "--subscribers", "3", "--url", &hub.url()];
    let bench = OnTerminal::start(&mut gapless(&line), Descriptors::Both);
    bench.wait_for(" deliveries ");
    let (shown, code) = bench.end();
    let left = screen(&shown);
    assert_eq!(code, Some(0), "{left}");
    assert!(left.contains("0 lost") && !left.contains(" deliveries "), "{left}");
}

/// A hub that takes `delay` for each batch, and answers it with receipts.
fn slow_hub(delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            answer_batches(client.unwrap(), delay);
        }
    });
    url
}

fn answer_batches(mut client: TcpStream, delay: Duration) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        if length == 0 {
            return;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        thread::sleep(delay);
        let events = text(&body).matches("\"topic\":").count();
        let receipts = vec!["{\"id\":\"x-1\"}"; events].join(",");
        let body = format!("{{\"events\":[{receipts}]}}");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        client.write_all((head + &body).as_bytes()).unwrap();
    }
}

#[test]
fn publishing_files_shows_bytes_events_rate_and_time_left_and_keeps_receipts_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big\u{1b}[31m.log");
    fs::write(&path, "a line of a log that is published\n".repeat(40_000)).unwrap();
    let file = path.display().to_string();
    let url = slow_hub(Duration::from_millis(300));
    let line = ["publish", "t", "--lines", "--file", &file, "--url", &url];
    let publish = OnTerminal::start(&mut gapless(&line), Descriptors::StderrOnly);
    publish.wait_for(" events (");
    publish.wait_for("/s) in big");
    publish.wait_for("iB/s");
    publish.wait_for(" left");
    let (shown, code) = publish.end();
    assert_eq!((code, screen(&shown).trim()), (Some(0), ""), "{shown:?}");
    assert!(shown.contains("big\\u001b[") && !shown.contains("\u{1b}[31m"), "{shown:?}");

    // With both on the terminal, each receipt is a line of its own.
    let publish = OnTerminal::start(&mut gapless(&line), Descriptors::Both);
    let (shown, code) = publish.end();
    let left = screen(&shown);
    assert_eq!((code, left.lines().filter(|line| *line == "{\"id\":\"x-1\"}").count()), (Some(0), 40_000));
    assert!(shown.contains(" left") && !left.contains(" left"));

    // A file that is stdin is shown, too; a pipe gets neither.
    let stdin = || Stdio::from(fs::File::open(&path).unwrap());
    let line = ["publish", "t", "--lines", "--url", &url];
    let publish = OnTerminal::start(gapless(&line).stdin(stdin()), Descriptors::StderrOnly);
    publish.wait_for(" left");
    assert_eq!(publish.end().1, Some(0));
    let piped = output(gapless(&line).stdin(stdin()));
    assert_eq!((piped.status.code(), &*text(&piped.stderr)), (Some(0), ""));
    assert_eq!(text(&piped.stdout), "{\"id\":\"x-1\"}\n".repeat(40_000));
}
