//! What became of each line, and what is left to do about the others.

use std::ops::RangeInclusive;

/// Runs of refused lines that are named at the end. Each was told when it was refused, too.
const MAX_NAMED: usize = 20;

/// The lines that have been answered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Every line up to here has its receipt or was refused.
    answered: u64,
    refused: u64,
    /// The refused ones, as runs, the first of them.
    runs: Vec<RangeInclusive<u64>>,
}

impl Ledger {
    /// Lines up to `number` have their receipts.
    pub(super) fn confirm(&mut self, number: u64) {
        self.answered = self.answered.max(number);
    }

    /// Line `number` was refused.
    pub(super) fn refuse(&mut self, number: u64) {
        self.confirm(number);
        self.refused += 1;
        // One more than are named, so that it is known that there are more.
        let room = self.runs.len() <= MAX_NAMED;
        match self.runs.last_mut() {
            Some(run) if run.end() + 1 == number => *run = *run.start()..=number,
            _ if room => self.runs.push(number..=number),
            _ => {}
        }
    }

    /// Whether no line has been answered.
    pub(super) fn is_new(&self) -> bool {
        self.answered == 0
    }

    /// Whether no line was refused.
    pub(super) fn is_clean(&self) -> bool {
        self.refused == 0
    }

    /// What to say when all lines were answered and some refused.
    pub(super) fn refusals(&self) -> String {
        let (refused, answered) = (self.refused, self.answered);
        format!("{refused} of {answered} lines were refused, {}; all others are published", self.named())
    }

    /// What to say when it ends before all are answered; those from `doubtful` on, if any, may have been published.
    pub(super) fn advice(&self, why: &str, doubtful: Option<RangeInclusive<u64>>) -> String {
        let answered = self.answered;
        let mut told = match (answered, self.refused) {
            (0, _) => format!("{why}; no line was answered"),
            (_, 0) => format!("{why}; lines 1 to {answered} are published"),
            _ => format!("{why}; lines 1 to {answered} are published, but for those refused: {}", self.named()),
        };
        let mut next = answered + 1;
        if let Some(lines) = doubtful {
            next = lines.end() + 1;
            told = format!("{told}; {} may be published or not: look before you send them again", named(&lines));
        }
        format!("{told}; from line {next} on nothing is published")
    }

    fn named(&self) -> String {
        let named: Vec<String> = self.runs.iter().take(MAX_NAMED).map(named).collect();
        let more = if self.runs.len() > MAX_NAMED { " and more, each told above" } else { "" };
        named.join(", ") + more
    }
}

fn named(lines: &RangeInclusive<u64>) -> String {
    let (first, last) = (lines.start(), lines.end());
    if first == last { format!("line {first}") } else { format!("lines {first} to {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_every_line_that_is_not_published() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.advice("gone", None), "gone; no line was answered; from line 1 on nothing is published");
        ledger.confirm(4);
        assert_eq!(
            ledger.advice("gone", None),
            "gone; lines 1 to 4 are published; from line 5 on nothing is published"
        );
        for number in [5, 6, 9] {
            ledger.refuse(number);
        }
        ledger.confirm(10);
        assert_eq!(
            ledger.advice("gone", Some(11..=12)),
            "gone; lines 1 to 10 are published, but for those refused: lines 5 to 6, line 9; lines 11 to 12 may be \
             published or not: look before you send them again; from line 13 on nothing is published"
        );
        assert_eq!(ledger.refusals(), "3 of 10 lines were refused, lines 5 to 6, line 9; all others are published");
    }

    #[test]
    fn what_is_remembered_of_refusals_is_bounded() {
        let mut ledger = Ledger::default();
        (1..=100_000).step_by(2).for_each(|number| ledger.refuse(number));
        let told = ledger.refusals();
        assert!(ledger.runs.len() == MAX_NAMED + 1 && told.contains("line 39 and more, each told above"), "{told}");
        assert!(told.starts_with("50000 of 99999"), "{told}");
    }
}
