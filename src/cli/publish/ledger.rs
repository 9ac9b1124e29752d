//! The outcome of each line, and the final report for the user.

use std::ops::RangeInclusive;

/// Most ranges of refused lines in the final report. Each refusal has its own message, too.
const MAX_NAMED: usize = 20;

/// The outcomes of the lines so far.
#[derive(Debug)]
pub(super) struct Ledger {
    /// What is numbered: `line` or `file`.
    noun: &'static str,
    /// Every line up to this number was published or refused.
    answered: u64,
    refused: u64,
    /// The first ranges of refused lines, at most one more than are named.
    ranges: Vec<RangeInclusive<u64>>,
}

impl Ledger {
    /// No outcome yet of any `noun`, `line` or `file`.
    pub(super) fn new(noun: &'static str) -> Self {
        Self { noun, answered: 0, refused: 0, ranges: Vec::new() }
    }

    /// Records that the lines up to `number` have their receipts.
    pub(super) fn confirm(&mut self, number: u64) {
        self.answered = self.answered.max(number);
    }

    /// Records that line `number` was refused.
    pub(super) fn refuse(&mut self, number: u64) {
        self.confirm(number);
        self.refused += 1;
        // Keep one more than are named, to know that there are more.
        let has_space = self.ranges.len() <= MAX_NAMED;
        match self.ranges.last_mut() {
            Some(range) if range.end() + 1 == number => *range = *range.start()..=number,
            _ if has_space => self.ranges.push(number..=number),
            _ => {}
        }
    }

    /// Whether no line has an outcome yet.
    pub(super) fn is_empty(&self) -> bool {
        self.answered == 0
    }

    /// Whether no line was refused.
    pub(super) fn is_clean(&self) -> bool {
        self.refused == 0
    }

    /// The report when all lines have an outcome and some were refused.
    pub(super) fn refusal_report(&self) -> String {
        let Self { refused, answered, noun, .. } = self;
        format!("{refused} of {answered} {noun}s were refused, {}; all others are published", self.describe_ranges())
    }

    /// The report when the command ends early because of `why`. It is not known whether the `doubtful` lines were
    /// published.
    pub(super) fn early_end_report(&self, why: &str, doubtful: Option<RangeInclusive<u64>>) -> String {
        let (answered, noun) = (self.answered, self.noun);
        let mut report = match (answered, self.refused) {
            (0, _) => format!("{why}; no {noun} is confirmed"),
            (_, 0) => format!("{why}; {noun}s 1 to {answered} are published"),
            _ => format!(
                "{why}; {noun}s 1 to {answered} are published, except the refused ones: {}",
                self.describe_ranges()
            ),
        };
        let mut next = answered + 1;
        if let Some(lines) = doubtful {
            next = lines.end() + 1;
            report = format!(
                "{report}; {} may have been published: check before you send them again",
                self.describe_range(&lines)
            );
        }
        format!("{report}; from {noun} {next} on nothing is published")
    }

    fn describe_ranges(&self) -> String {
        let described: Vec<String> =
            self.ranges.iter().take(MAX_NAMED).map(|range| self.describe_range(range)).collect();
        let more = if self.ranges.len() > MAX_NAMED { " and more, each reported above" } else { "" };
        described.join(", ") + more
    }

    fn describe_range(&self, range: &RangeInclusive<u64>) -> String {
        let (first, last, noun) = (range.start(), range.end(), self.noun);
        if first == last { format!("{noun} {first}") } else { format!("{noun}s {first} to {last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_every_line_that_is_not_published() {
        let mut ledger = Ledger::new("line");
        assert_eq!(
            ledger.early_end_report("gone", None),
            "gone; no line is confirmed; from line 1 on nothing is published"
        );
        ledger.confirm(4);
        assert_eq!(
            ledger.early_end_report("gone", None),
            "gone; lines 1 to 4 are published; from line 5 on nothing is published"
        );
        for number in [5, 6, 9] {
            ledger.refuse(number);
        }
        ledger.confirm(10);
        assert_eq!(
            ledger.early_end_report("gone", Some(11..=12)),
            "gone; lines 1 to 10 are published, except the refused ones: lines 5 to 6, line 9; lines 11 to 12 may have been \
             published: check before you send them again; from line 13 on nothing is published"
        );
        assert_eq!(
            ledger.refusal_report(),
            "3 of 10 lines were refused, lines 5 to 6, line 9; all others are published"
        );
    }

    #[test]
    fn the_ranges_of_refused_lines_are_bounded() {
        let mut ledger = Ledger::new("line");
        (1..=100_000).step_by(2).for_each(|number| ledger.refuse(number));
        let report = ledger.refusal_report();
        assert!(
            ledger.ranges.len() == MAX_NAMED + 1 && report.contains("line 39 and more, each reported above"),
            "{report}"
        );
        assert!(report.starts_with("50000 of 99999"), "{report}");
    }
}
