//! `gapless top`: a hub at a glance, in a terminal.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and the loop |
//! | `feed` | the statistics, once a second |
//! | `hub_stats` | the fields of the statistics |
//! | `history` | the last minutes |
//! | `attention` | what needs attention, in words |
//! | `model` | what is shown |
//! | `keys` | what the keys do |
//! | `view` | draws the model |
//! | `units` | numbers with units |
//! | `plain` | the statistics as text, for `--once` |
//! | `terminal` | takes and restores the terminal |

use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;

use super::{
    CliError,
    client::{Dial, HubArgs, HubClient},
    output, stop,
};

mod attention;
mod feed;
mod history;
mod hub_stats;
mod keys;
mod model;
mod plain;
mod terminal;
mod units;
mod view;

use self::{feed::StatsFeed, model::TopModel, terminal::TopTerminal};

/// The arguments of `gapless top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows what needs attention, the traffic, and the busiest topics and holders, from /admin/stats once
a second; a token needs admin. Reconnects by itself, and says why it has to. Numbers of \"the last
minute\" begin when it is started. Keys: q quit, Tab and arrows, s sort, p pause, ? help.

  gapless top
  gapless top --url https://hub.example --token-file admin.token
  gapless top --once | grep '^attention'")]
pub struct TopArgs {
    /// Print the statistics once, as plain text, for scripts
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Shows the hub until the user quits, or prints it once.
///
/// # Errors
/// When the hub cannot be reached at first, or refuses, and when stdout is no terminal. After a lost connection it
/// reconnects.
pub async fn run(args: TopArgs) -> Result<(), CliError> {
    let hub = args.hub.client()?;
    if args.once {
        let (stats, not_ready) = feed::once(&hub).await?;
        let text = plain::text(&args.hub.url, &stats, not_ready.as_deref());
        return output::print_line(&mut output::stdout(), text.trim_end().as_bytes());
    }
    if !output::stdout().is_terminal() {
        return Err(CliError::NoTerminal);
    }
    let stop = stop::listen(terminal::restore).map_err(CliError::Signals)?;
    // What the hub refuses is said before the screen is taken.
    let (stats, not_ready) = feed::once(&hub).await?;
    let model = TopModel::new(&args.hub.url, stats, not_ready);
    tokio::select! {
        outcome = watch(&hub, model) => outcome,
        signal = stop => Err(CliError::Stopped(signal)),
    }
}

/// Draws the hub until the user quits. Restores the terminal when it ends or is dropped.
async fn watch<D: Dial>(hub: &HubClient<D>, mut model: TopModel) -> Result<(), CliError> {
    let mut terminal = TopTerminal::open()?;
    let mut inputs = terminal::inputs();
    let (sender, mut news) = mpsc::channel(1);
    let feed = StatsFeed::new(hub, sender).run();
    tokio::pin!(feed);
    loop {
        terminal.draw(|frame| view::draw(frame, &model))?;
        tokio::select! {
            () = &mut feed => unreachable!("its receiver is open"),
            Some(event) = news.recv() => model.take(event),
            input = inputs.recv() => match input {
                Some(Event::Key(key)) if keys::press(&mut model, key) => return Ok(()),
                // A resize is drawn.
                Some(_) => {}
                None => return Err(CliError::OutputClosed),
            },
        }
    }
}
