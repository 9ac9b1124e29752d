//! Whether a target is met.

use crate::{
    figure::figure,
    input::{Better, Ratio},
};

/// A figure compared with its targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Standing {
    /// There is no target.
    None,
    /// Short of the target to reach.
    Missed,
    /// The target to reach is met.
    Reached,
    /// The aim is met.
    Aimed,
}

pub(crate) fn standing(ratio: &Ratio) -> Standing {
    match (ratio.reach, ratio.aim) {
        (None, None) => Standing::None,
        (_, Some(aim)) if meets(ratio.better, ratio.median, aim) => Standing::Aimed,
        (Some(reach), _) if meets(ratio.better, ratio.median, reach) => Standing::Reached,
        _ => Standing::Missed,
    }
}

/// The text for it. The median decides; a spread across the target is mentioned.
pub(crate) fn words(ratio: &Ratio) -> String {
    let (worst, best) = match ratio.better {
        Better::Higher => (ratio.min, ratio.max),
        Better::Lower => (ratio.max, ratio.min),
    };
    // Missing an aim is a miss only when there is no target to reach.
    let least = ratio.reach.or(ratio.aim);
    match (standing(ratio), least) {
        (Standing::Missed, Some(least)) => {
            let lucky = if meets(ratio.better, best, least) { "; only its best round does" } else { "" };
            format!("**no**: {}{lucky}", short_of(ratio.better, ratio.median, least))
        }
        (Standing::Reached | Standing::Aimed, Some(least)) if !meets(ratio.better, worst, least) => {
            "yes, but not in its worst round".to_owned()
        }
        (Standing::Reached, _) => if ratio.aim.is_some() { "yes, short of the aim" } else { "yes" }.to_owned(),
        (Standing::Aimed, _) => "yes, and the aim".to_owned(),
        _ => "no target".to_owned(),
    }
}

/// The standing that a line of the table of targets tells: its last four cells are the figure, what is to reach, the aim,
/// and [`words`], which leave the aim out when the worst round misses.
pub(crate) fn standing_in(line: &str) -> Standing {
    let mut cells = line.trim_end_matches(" |").rsplit(" | ");
    let (words, aim) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
    let figure = cells.nth(1).unwrap_or_default();
    let number = |cell: &str| {
        let text = cell.trim_start_matches(['≥', '≤', ' ']).split(' ').next().unwrap_or_default();
        text.replace(',', "").parse::<f64>().ok()
    };
    let better = if aim.starts_with('≥') { Better::Higher } else { Better::Lower };
    let is_aimed = number(aim).zip(number(figure)).is_some_and(|(aim, figure)| meets(better, figure, aim));
    match words {
        "no target" => Standing::None,
        words if words.starts_with("**no**") => Standing::Missed,
        "yes, and the aim" => Standing::Aimed,
        "yes, but not in its worst round" if is_aimed => Standing::Aimed,
        _ => Standing::Reached,
    }
}

fn meets(better: Better, value: f64, target: f64) -> bool {
    match better {
        Better::Higher => value >= target,
        Better::Lower => value <= target,
    }
}

/// How far a target is missed.
fn short_of(better: Better, value: f64, target: f64) -> String {
    let part = value / target;
    match better {
        _ if target <= 0.0 || value <= 0.0 => format!("{} where {} was asked", figure(value), figure(target)),
        Better::Higher if part <= 0.5 => format!("{} of what was asked", figure(part)),
        Better::Higher => format!("{} % short", figure(100.0 * (1.0 - part))),
        Better::Lower if part >= 2.0 => format!("{} times what was asked", figure(part)),
        Better::Lower => format!("{} % over", figure(100.0 * (part - 1.0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(better: Better, [min, median, max]: [f64; 3], reach: Option<f64>, aim: Option<f64>) -> Ratio {
        let text = String::new;
        Ratio {
            case: text(),
            measure: text(),
            of: text(),
            to: None,
            unit: text(),
            median,
            min,
            max,
            reach,
            aim,
            better,
        }
    }

    #[test]
    fn a_line_of_the_table_tells_what_it_was_made_of() {
        for (line, standing) in [
            ("| [a](#a): x | 12,500 (1–2) | ≥ 300 | ≥ 12,000 | yes, but not in its worst round |", Standing::Aimed),
            (
                "| [a](#a): x \\| y | 12.6 (11.2–19.7) | ≤ 15 | ≤ 10 | yes, but not in its worst round |",
                Standing::Reached,
            ),
            ("| [a](#a): x | 1.08 x (1–2) | ≤ 1.08 x | ≤ 1.03 x | **no**: 0.07 % over |", Standing::Missed),
            ("| [a](#a): x | 2 x | ≥ 1 x | ≥ 2 x | yes, and the aim |", Standing::Aimed),
            ("| [a](#a): x | 2 x | ≥ 1 x | – | yes |", Standing::Reached),
            ("| [a](#a): x | 2 x | – | – | no target |", Standing::None),
        ] {
            assert_eq!(standing_in(line), standing, "{line}");
        }
    }

    #[test]
    fn a_missed_target_is_called_missed() {
        use Better::{Higher, Lower};
        for (better, values, reach, aim, expected) in [
            (Higher, [1.4, 1.5, 1.6], Some(1.35), Some(1.5), "yes, and the aim"),
            (Higher, [1.4, 1.45, 1.6], Some(1.35), Some(1.5), "yes, short of the aim"),
            (Higher, [1.2, 1.4, 1.6], Some(1.35), Some(1.5), "yes, but not in its worst round"),
            (Higher, [1.0, 1.08, 1.1], Some(1.35), Some(1.5), "**no**: 20 % short"),
            (Higher, [1.0, 1.08, 1.4], Some(1.35), None, "**no**: 20 % short; only its best round does"),
            (Higher, [1.0, 5.0, 6.0], Some(15.0), Some(25.0), "**no**: 0.333 of what was asked"),
            (Lower, [1.0, 1.05, 1.07], Some(1.08), Some(1.03), "yes, short of the aim"),
            (Lower, [1.1, 1.188, 1.2], Some(1.08), None, "**no**: 10 % over"),
            (Lower, [9.0, 12.0, 13.0], Some(5.0), None, "**no**: 2.4 times what was asked"),
            (Lower, [1.0, 1.0, 1.0], Some(1.08), None, "yes"),
            (Lower, [1.0, 1.0, 1.0], None, None, "no target"),
            (Lower, [2.0, 2.2, 2.4], None, Some(2.0), "**no**: 10 % over; only its best round does"),
        ] {
            assert_eq!(words(&ratio(better, values, reach, aim)), expected);
        }
    }
}
