//! `gapless export`: events of a hub as a file of lines.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and an export from its first line to its last |
//! | `pages` | the hub's pages, with retries |

mod pages;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use self::pages::{EventPage, PageReader, PageStart};
use super::{
    CliError,
    client::{HubArgs, HubConnector},
    output,
    progress::{CountedUnit, ProgressLine},
};
use crate::{
    event::{EventId, Millis, Seq},
    export::{
        ExportError,
        file::{self, ExportFile},
        line::{ExportHeader, VERSION},
    },
    progress::WorkProgress,
};

/// How often a hub is asked that has no event, and has not read all of a shared log yet: half a minute.
const EMPTY_PAGES: u32 = 150;

/// Between them.
const EMPTY_PAUSE: Duration = Duration::from_millis(200);

/// `from` of an export of everything that is kept.
const EARLIEST: &str = "earliest";

/// The arguments of `gapless export`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
A line for each event, as a stream sends it in NDJSON, in order of its id; gaps and closed topics
have lines, too. The export ends with what the hub had when it was begun, and its last line says
that it is complete. One that was cut short goes on when it is started again with the same
arguments and --to.

It holds events. A backup holds everything: `gapless backup`.

  gapless export 'jobs/**' --since 7d --to jobs.ndjson
  gapless export '**' --to all.ndjson && gapless import --from all.ndjson --data NEW
  gapless export notices | jq -r 'select(.data) | .data'"
)]
pub struct ExportArgs {
    /// Topics and patterns
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Begin with the events of this age or time: 7d, 2026-11-27T05:00:00Z [default: all that is kept]
    #[arg(long, value_name = "AGE|TIME")]
    since: Option<String>,
    /// The file; one that was cut short is gone on with [default: stdout]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Exports, and tells on stderr what was done.
///
/// # Errors
/// When the hub cannot be reached or refuses, or the file cannot be written. What is in the file stays.
pub async fn run(args: ExportArgs) -> Result<(), CliError> {
    let hub = args.hub.client()?;
    let mut topics = args.topics.clone();
    topics.sort_unstable();
    topics.dedup();
    let progress = Arc::new(WorkProgress::default());
    let mut export = Export { pages: PageReader::new(&hub, &topics)?, topics: &topics, progress: &progress };
    let from = args.since.as_deref().unwrap_or(EARLIEST);
    let line = ProgressLine::start(&progress, CountedUnit::Bytes);
    progress.begin("exporting", 0);
    let events = if let Some(path) = &args.to {
        export.write_file(path, from).await?
    } else {
        let header = export.header(from).await?;
        let mut file = ExportFile::begin(output::stdout(), Path::new("stdout"), &header)?;
        export.rest(&mut file, &header, None).await?
    };
    drop(line);
    let lacking = if export.pages.lacks_metadata() {
        "; what other protocols keep with events is not in it: that takes a token with admin"
    } else {
        ""
    };
    output::print_error(format_args!("{events} {} exported{lacking}", if events == 1 { "event" } else { "events" }));
    Ok(())
}

struct Export<'a> {
    pages: PageReader<'a, HubConnector>,
    topics: &'a [String],
    progress: &'a WorkProgress,
}

impl Export<'_> {
    async fn write_file(&mut self, path: &Path, from: &str) -> Result<u64, CliError> {
        let (file, begun) = file::open(path)?;
        let Some(begun) = begun else {
            let header = self.header(from).await?;
            let mut file = ExportFile::begin(file, path, &header)?;
            let events = self.rest(&mut file, &header, None).await?;
            file.sync()?;
            return Ok(events);
        };
        let (header, cursor) = (begun.header.clone(), begun.cursor);
        if (header.version, &*header.topics, &*header.from) != (VERSION, self.topics, from) {
            let has = format!("{} since {}", header.topics.join(" "), header.from);
            return Err(ExportError::Another { path: path.into(), has }.into());
        }
        let mut file = ExportFile::go_on(path, begun)?;
        let events = self.rest(&mut file, &header, cursor).await?;
        file.sync()?;
        Ok(events)
    }

    /// The first line of an export that begins now.
    async fn header(&mut self, from: &str) -> Result<ExportHeader, CliError> {
        let through = self.pages.newest().await?;
        let made = Millis::from(SystemTime::now()).to_string();
        let (topics, from) = (self.topics.to_vec(), from.to_owned());
        Ok(ExportHeader { version: VERSION, topics, from, through: through.to_string(), made })
    }

    /// Writes what comes after `cursor`, or after the first line. Returns the number of events in the file.
    async fn rest<W: Write>(
        &mut self,
        file: &mut ExportFile<W>,
        header: &ExportHeader,
        cursor: Option<EventId>,
    ) -> Result<u64, CliError> {
        let through = EventId::parse(&header.through).ok_or(ExportError::NotAnExport)?;
        let mut start = match (cursor, &*header.from) {
            (Some(cursor), _) => PageStart::After(cursor),
            // What was trimmed before is told.
            (None, EARLIEST) => PageStart::After(EventId { seq: Seq::ZERO, ..through }),
            (None, since) => PageStart::Since(since.to_owned()),
        };
        let mut empty = 0;
        loop {
            // A page without events ends at its cursor, not at the end of the log. It is the last one if the hub had everything
            // before it was asked for: one behind a load balancer may not have read all of a shared log yet.
            let has_all = empty > 0 && self.pages.newest().await?.seq >= through.seq;
            let page = self.pages.read(&start).await?;
            let next = page.next()?;
            if next.epoch != through.epoch || page.gaps()?.iter().any(|gap| gap.begins_anew) {
                let problem =
                    "the hub has another store, or an older copy of it, than before; export into another file";
                return Err(CliError::NotExported(problem.into()));
            }
            if matches!(start, PageStart::After(at) if at.seq >= through.seq) {
                break;
            }
            // What is read again was written before.
            if empty == 0 || !matches!(start, PageStart::After(at) if at == next) {
                self.write(file, &page, through)?;
            }
            if next.seq >= through.seq || (page.events.is_empty() && has_all) {
                break;
            }
            empty = if page.events.is_empty() { empty + 1 } else { 0 };
            if empty == EMPTY_PAGES {
                let problem = format!("the hub's log ends at {next}, before {through}, which it had; try again later");
                return Err(CliError::NotExported(problem));
            }
            if empty > 1 {
                sleep(EMPTY_PAUSE).await;
            }
            start = PageStart::After(next);
        }
        self.ends(file, through).await?;
        Ok(file.complete()?)
    }

    /// Writes a page up to `through`. A page has its gaps apart from its events: each belongs before the event at which its topic
    /// goes on, or after those of the page, when it goes on later or not at all.
    fn write<W: Write>(&self, file: &mut ExportFile<W>, page: &EventPage, through: EventId) -> Result<(), CliError> {
        let mut gaps = page.gaps()?;
        for event in &page.events {
            let id = EventPage::id(event)?;
            if id.seq > through.seq {
                break;
            }
            for gap in gaps.extract_if(.., |gap| gap.resumes_at == Some(id)) {
                file.gap(gap.text)?;
            }
            file.event(event)?;
            self.progress.add(event.get().len() as u64);
        }
        for gap in gaps {
            file.gap(gap.text)?;
        }
        let next = page.next()?;
        Ok(file.cursor(EventId { seq: next.seq.min(through.seq), ..next })?)
    }

    /// Tells which topics are closed.
    async fn ends<W: Write>(&mut self, file: &mut ExportFile<W>, through: EventId) -> Result<(), CliError> {
        self.progress.step("reading which topics are closed");
        let mut after = None;
        loop {
            let page = self.pages.topics(after.as_deref()).await?;
            for topic in page.topics.iter().filter(|topic| topic.closed && self.pages.selects(&topic.topic)) {
                let last = topic.last_id.as_deref().and_then(EventId::parse);
                if let Some(last) = last.filter(|last| last.epoch == through.epoch && last.seq <= through.seq) {
                    file.end(&topic.topic, &last.to_string())?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
