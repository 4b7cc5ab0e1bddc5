//! Planted bugs are in no build that did not ask for them: the server's binary has neither their names nor
//! the variable that wakes them; the one that `jepsen sabotage` builds has all of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use storage::sabotage::{Bug, VARIABLE};

#[test]
fn a_build_without_the_feature_has_no_planted_bug_in_it() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_ottla")).unwrap();
    let text = String::from_utf8_lossy(&binary);
    let has = |words: &str| text.contains(words);
    assert!(has("high_watermark"), "strings are found at all");
    let asked_for = cfg!(feature = "sabotage");
    assert_eq!(has(VARIABLE), asked_for);
    for bug in Bug::ALL {
        assert_eq!(has(bug.about()), asked_for, "{}", bug.name());
    }
}
