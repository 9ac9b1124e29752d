//! Contract: retention.

use super::*;

pub(crate) fn kept<F: EngineFactory>(fixture: &Fixture<F>, name: &str) -> Vec<String> {
    short(&fixture.read(&[name], ReadFrom::Earliest))
}

pub(crate) fn retained_events_are_known_without_a_read<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "b", "a", "a", "gone"]);
    let keeps = |fixture: &Fixture<F>, name: &str, seqs: &[u64]| {
        seqs.iter().map(|&seq| fixture.engine.catalog().is_retained(&topic(name), Seq(seq))).collect::<Vec<_>>()
    };
    assert_eq!(
        keeps(&fixture, "a", &[0, 1, 3, 4, 5]),
        [false, true, true, true, false],
        "from its oldest to its newest event"
    );
    assert_eq!(keeps(&fixture, "unused", &[0, 1]), [false; 2]);
    fixture.trim("a", 2);
    assert_eq!(keeps(&fixture, "a", &[1, 3, 4]), [false, true, true]);
    assert!(fixture.delete("gone"));
    assert_eq!(keeps(&fixture, "gone", &[5]), [false]);
    let again = fixture.publish("gone");
    assert_eq!(keeps(&fixture, "gone", &[5, again.0]), [false, true], "only those of the second incarnation");
    fixture.trim("b", 0);
    assert_eq!(keeps(&fixture, "b", &[2]), [false]);
    fixture.reopen();
    assert_eq!(kept(&fixture, "a"), ["3", "4"]);
    assert_eq!(keeps(&fixture, "a", &[1, 3, 4]), [false, true, true], "after a restart");
    assert_eq!((keeps(&fixture, "gone", &[5, again.0]), keeps(&fixture, "b", &[2])), (vec![false, true], vec![false]));
}
