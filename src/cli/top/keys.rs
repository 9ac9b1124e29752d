//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{SortColumn, TopModel};

/// Rows of a page.
const PAGE: isize = 5;

/// The keys and what they do, for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("q, Esc, Ctrl-C", "quit"),
    ("p, space", "pause the screen, and go on"),
    ("Tab, left, right", "the other table"),
    ("up, down, k, j", "select a row, whose whole name is below the table"),
    ("s", "sort by the next column"),
    ("e b u r n", "sort by events, bytes, streams, refused, name"),
    ("?, h", "this help"),
];

/// Applies a key to the screen. Returns whether the program is to end.
pub(super) fn press(model: &mut TopModel, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return false;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd'));
    }
    match key.code {
        KeyCode::Esc if model.help => model.help = false,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => return true,
        KeyCode::Char('?' | 'h') => model.help = !model.help,
        KeyCode::Char('p' | ' ') => model.toggle_pause(),
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => model.next_table(),
        KeyCode::Up | KeyCode::Char('k') => model.select(-1),
        KeyCode::Down | KeyCode::Char('j') => model.select(1),
        KeyCode::PageUp => model.select(-PAGE),
        KeyCode::PageDown => model.select(PAGE),
        KeyCode::Home => model.select(isize::MIN),
        KeyCode::End => model.select(isize::MAX),
        KeyCode::Char('s') => model.sort_by_next(),
        KeyCode::Char('e') => model.sort_by(SortColumn::Events),
        KeyCode::Char('b') => model.sort_by(SortColumn::Bytes),
        KeyCode::Char('u') => model.sort_by(SortColumn::Streams),
        KeyCode::Char('r') => model.sort_by(SortColumn::Refused),
        KeyCode::Char('n') => model.sort_by(SortColumn::Name),
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            hub_stats::tests::busy_with,
            model::{BusiestTable, FeedEvent},
        },
        *,
    };

    fn model() -> TopModel {
        TopModel::new("http://hub", busy_with(&[]), None)
    }

    fn type_in(model: &mut TopModel, keys: &str) -> bool {
        keys.chars().any(|key| press(model, KeyEvent::from(KeyCode::Char(key))))
    }

    fn topics(model: &TopModel) -> Vec<String> {
        model.topics().into_iter().map(|topic| topic.topic).collect()
    }

    #[test]
    fn tables_are_sorted_by_each_of_their_columns() {
        let mut model = model();
        assert_eq!(topics(&model), ["orders/new", "jobs/42/tokens", "notices"]);
        for (key, want) in [
            ("b", ["jobs/42/tokens", "orders/new", "notices"]),
            ("u", ["orders/new", "notices", "jobs/42/tokens"]),
            ("n", ["jobs/42/tokens", "notices", "orders/new"]),
            ("s", ["orders/new", "jobs/42/tokens", "notices"]),
            ("s", ["jobs/42/tokens", "orders/new", "notices"]),
            ("r", ["jobs/42/tokens", "orders/new", "notices"]),
        ] {
            type_in(&mut model, key);
            assert_eq!(topics(&model), want, "{key}");
        }
        press(&mut model, KeyCode::Tab.into());
        assert_eq!((model.table, &*model.holders()[0].holder), (BusiestTable::Holders, "ci"));
        type_in(&mut model, "u");
        assert_eq!(model.holders()[0].holder, "web");
        type_in(&mut model, "r");
        assert_eq!(model.holders()[0].holder, "ci");
    }

    #[test]
    fn the_selection_stays_within_the_table() {
        let mut model = model();
        let mut after = |code: KeyCode| {
            press(&mut model, code.into());
            model.selected(BusiestTable::Topics)
        };
        let moves =
            [KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::Up, KeyCode::Home, KeyCode::End].map(&mut after);
        assert_eq!(moves, [0, 1, 2, 1, 0, 2]);
        model.take(FeedEvent::Stats(busy_with(&[("/top_topics", serde_json::json!([]))]).into(), None));
        assert_eq!(model.selected(BusiestTable::Topics), 1, "the table has become shorter");
    }

    #[test]
    fn a_paused_screen_stays_and_goes_on_with_the_present() {
        let mut model = model();
        type_in(&mut model, "p");
        model.take(FeedEvent::Stats(busy_with(&[("/topics", 7.into()), ("/uptime_s", 8000.into())]).into(), None));
        model.take(FeedEvent::Lost("gone".into()));
        assert_eq!((model.shown().stats.topics, model.is_paused(), model.lost()), (12000, true, Some("gone")));
        type_in(&mut model, "p");
        assert_eq!((model.shown().stats.topics, model.is_paused()), (7, false));
    }

    #[test]
    fn it_ends_by_each_of_its_keys_and_by_no_other() {
        assert!(type_in(&mut model(), "q"));
        assert!(press(&mut model(), KeyCode::Esc.into()));
        assert!(press(&mut model(), KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!type_in(&mut model(), "xcpseburn?h jk"));
        let mut model = model();
        type_in(&mut model, "?");
        assert!(model.help);
        assert!(!press(&mut model, KeyCode::Esc.into()), "Esc leaves the help first");
        assert!(!model.help);
    }
}
