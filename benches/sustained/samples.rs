//! Samples the hub once a second, and evaluates the samples.

use std::{
    fs, io,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use gapless::event::Millis;
use serde_json::{Value, json};

use crate::{
    support::hub::Hub,
    world::{Findings, World},
};

const MIB: f64 = (1 << 20) as f64;
/// Largest ratio of the last quarter to the second.
const FLAT: f64 = 1.1;
const OURS: &str = "gapless (sled)";

/// The measures, with their units.
const MEASURES: [(&str, &str); 9] = [
    ("resident memory", "MiB"),
    ("disk", "MiB"),
    ("data kept", "MiB"),
    ("open files", ""),
    ("delivery p99", "ms"),
    ("CPU", "cores"),
    ("published", "events/s"),
    ("delivered", "events/s"),
    ("log pages read", "/s"),
];
const MEMORY: usize = 0;
const DISK: usize = 1;
const LATENCY: usize = 4;

/// One sample: a value for each of [`MEASURES`].
pub(crate) struct Sample {
    at: f64,
    values: [f64; MEASURES.len()],
}

pub(crate) struct Sampler<'a> {
    hub: &'a Hub,
    data: &'a Path,
    last: Instant,
    cpu: f64,
    published: u64,
    delivered: u64,
    pages: f64,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(hub: &'a Hub, data: &'a Path) -> Self {
        Self { hub, data, last: Instant::now(), cpu: hub.cpu(), published: 0, delivered: 0, pages: 0.0 }
    }

    /// Takes a sample. This takes a millisecond or two, during which the load is paused.
    pub(crate) fn take(&mut self, world: &World) -> Sample {
        let found = &world.found;
        let stats = stats(self.hub).unwrap_or_default();
        let (now, cpu) = (Instant::now(), self.hub.cpu());
        let seconds = now.duration_since(self.last).as_secs_f64();
        let mut latency = found.latency.borrow_mut();
        let p99 = latency.value_at_quantile(0.99) as f64 / 1e3;
        latency.reset();
        let pages = stats["store"]["pages_read_total"].as_f64().unwrap_or(f64::NAN);
        let values = [
            self.hub.resident() / MIB,
            allocated(self.data).unwrap_or(f64::NAN) / MIB,
            stats["store"]["bytes"].as_f64().unwrap_or(f64::NAN) / MIB,
            self.hub.open_files() as f64,
            p99,
            (cpu - self.cpu) / seconds,
            (found.published.get() - self.published) as f64 / seconds,
            (found.delivered.get() - self.delivered) as f64 / seconds,
            (pages - self.pages) / seconds,
        ];
        (self.last, self.cpu) = (now, cpu);
        self.pages = pages;
        (self.published, self.delivered) = (found.published.get(), found.delivered.get());
        Sample { at: world.now().as_secs_f64(), values }
    }
}

impl Sample {
    /// Prints the progress.
    pub(crate) fn print(&self) {
        let values = MEASURES.iter().zip(self.values).map(|((name, unit), value)| format!("{name} {value:.2} {unit}"));
        println!("  {:5.0} s  {}", self.at, values.collect::<Vec<_>>().join(", "));
    }
}

/// Bytes that the files below `dir` take on the disk. Files that vanish meanwhile are not counted.
fn allocated(dir: &Path) -> io::Result<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(dir)?.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += allocated(&entry.path()).unwrap_or(0.0),
            Ok(metadata) => bytes += metadata.blocks() as f64 * 512.0,
            Err(_) => {}
        }
    }
    Ok(bytes)
}

/// The hub's own figures; `None` when it does not answer within a second.
fn stats(hub: &Hub) -> Option<Value> {
    let mut socket = TcpStream::connect(hub.address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    socket.write_all(b"GET /admin/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Prints the results and writes them for the report.
pub(crate) fn report(samples: &[Sample], found: &Findings) {
    let quarter = samples.len() / 4;
    assert!(quarter > 0, "the soak was too short to say anything");
    let warm = &samples[quarter..];
    let case = format!("{:.0} minutes of mixed load", samples.last().map_or(0.0, |last| last.at / 60.0));
    let row = |measure: &str, unit: &str, [min, median, max]: [f64; 3], rounds: usize| {
        println!("  {measure:30} {median:>10.2} {unit:9} ({min:.2} to {max:.2})");
        json!({ "case": case, "contender": OURS, "measure": measure, "unit": unit,
                "median": median, "min": min, "max": max, "rounds": rounds })
    };
    println!("\nsustained: {case}");
    let mut rows = Vec::new();
    for (at, (measure, unit)) in MEASURES.iter().enumerate() {
        let values = sorted(warm, at);
        rows.push(row(measure, unit, [0.0, 0.5, 1.0].map(|part| quantile(&values, part)), values.len()));
    }
    for (measure, count) in [
        ("events published", &found.published),
        ("events delivered", &found.delivered),
        ("reconnects", &found.reconnects),
        ("streams ended by the hub", &found.cut),
        ("gaps told", &found.gaps),
        ("gaps with nothing missing", &found.needless),
        ("events trimmed unheard", &found.trimmed),
        ("lost, duplicated or out of order", &found.mistakes),
    ] {
        rows.push(row(measure, "", [count.get() as f64; 3], 1));
    }
    let ratio = |at: usize, reach: Option<f64>| {
        let (measure, _) = MEASURES[at];
        let second = quantile(&sorted(&samples[quarter..2 * quarter], at), 0.5);
        let last = sorted(&samples[samples.len() - quarter..], at);
        let [min, median, max] = [0.25, 0.5, 0.75].map(|part| quantile(&last, part) / second);
        let verdict = reach.map_or("", |reach| if median <= reach { "flat" } else { "NOT FLAT" });
        println!("  {measure}: last quarter {median:.3} times the second ({min:.3} to {max:.3}) {verdict}");
        json!({ "case": case, "measure": format!("{measure}, last quarter"), "of": OURS, "to": "the second quarter",
                "median": median, "min": min, "max": max, "reach": reach, "aim": null, "better": "lower" })
    };
    let ratios = [ratio(MEMORY, Some(FLAT)), ratio(DISK, Some(FLAT)), ratio(LATENCY, None)];
    let series = MEASURES.iter().enumerate().map(|(at, (name, unit))| {
        let points = samples.iter().map(|sample| json!([round(sample.at), round(sample.values[at])]));
        json!({ "name": name, "unit": unit, "points": points.collect::<Vec<_>>() })
    });
    let whole = json!({
        "bench": "sustained",
        "question": "Does the hub stay as it is under a mixed load that goes on?",
        "date": Millis::from(SystemTime::now()).to_string()[..10],
        "machine": machine(),
        "method": METHOD,
        "rows": rows,
        "ratios": ratios,
        "notes": ["p99 has no target of its own: it swings with whatever else the machine does."],
        "series": series.collect::<Vec<_>>(),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/sustained.json");
    fs::write(path, serde_json::to_string(&whole).expect("plain values")).expect("written");
}

const METHOD: &str = "One hub over sled. 400 events a second of 40 B to 1.2 kB to 260 topics, as lines of one stream and as \
    POSTs; all topics are trimmed within the first minute, segments have 8 MiB, rings 64 KiB. 1,000 subscribers of a topic, of five, or of \
    a pattern: 200 stay, 50 stop reading for up to 45 s, the rest leave at random and come back with their cursor. Every event is \
    checked. A sample a second; the first quarter is the warm-up and counts in no figure. p99 is that of each second, of \
    the streams that stay, from the publisher's write to the subscriber's read, by one thread that carries all the load.";

fn sorted(samples: &[Sample], at: usize) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(|sample| sample.values[at]).filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    json!({
        "cpu": cpu.map_or("unknown", |(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": (kib.unwrap_or(0.0_f64) / f64::from(1 << 20)).round(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
