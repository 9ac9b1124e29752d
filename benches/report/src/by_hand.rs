//! The part of the document that is written by hand: a run must never delete it.

use std::io;

const BEGIN: &str = "<!-- by hand -->\n";
const END: &str = "<!-- /by hand -->";

/// The text before anything is written.
const NOTHING_YET: &str = "\n*Nothing yet.*\n\n";

/// The text between the markers of `document`, including the markers; an empty one for a document that does not exist.
///
/// # Errors
/// When the markers do not occur once each, in order: no document is written rather than a text lost.
pub(crate) fn kept(document: Option<&str>) -> io::Result<String> {
    let Some(document) = document else {
        return Ok(format!("{BEGIN}{NOTHING_YET}{END}"));
    };
    let begin = document.split_once(BEGIN).filter(|(_, rest)| !rest.contains(BEGIN));
    let text = begin.and_then(|(_, rest)| rest.split_once(END)).filter(|(_, rest)| !rest.contains(END));
    let Some((text, _)) = text else {
        let what =
            "the text between the markers `by hand` and `/by hand` cannot be told from the rest; mend it by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    Ok(format!("{BEGIN}{text}{END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_kept_or_nothing_is_written() {
        let document = format!("# Title\n{BEGIN}\nA profile.\n\n{END}\nrest");
        assert_eq!(kept(Some(&document)).expect("whole"), format!("{BEGIN}\nA profile.\n\n{END}"));
        for broken in [
            "nothing".to_owned(),
            format!("{BEGIN} no end"),
            format!("{END} {BEGIN}"),
            format!("{BEGIN}{BEGIN}{END}"),
            format!("{BEGIN}{END}{END}"),
        ] {
            assert!(kept(Some(&broken)).is_err(), "{broken}");
        }
    }
}
