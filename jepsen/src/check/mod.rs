//! The checks: one anomaly per file, each a pure function over the index; and the verdict.
//!
//! | from | files |
//! |---|---|
//! | `jepsen.tests.kafka`, as coded there | `inconsistent_offsets` … `int_nonmonotonic_send`, `cycle` |
//! | stricter rules for records | `nonlinear_append` … `refused_inside` |
//! | stricter rules for groups and metadata | `two_owners` … `nonlinear_register` |
//!
//! Offsets give the order, so nothing here searches, but for the two registers; everything is linear or
//! n log n in operations.

mod anomaly;
mod assignment_mismatch;
mod commit_back;
mod commit_too_far;
mod cycle;
mod duplicate;
mod floors;
mod g1a;
mod generation_back;
mod high_watermark_back;
mod idempotence_broken;
mod inconsistent_offsets;
mod int_nonmonotonic_poll;
mod int_nonmonotonic_send;
mod int_poll_skip;
mod int_send_skip;
mod invented_record;
mod log_start_back;
mod lost_write;
mod missing_acked;
mod nonlinear_append;
mod nonlinear_commit;
mod nonlinear_register;
mod nonmonotonic_poll;
mod nonmonotonic_send;
mod poll_skip;
mod precommitted_read;
mod redelivered;
mod refused_inside;
mod register;
mod replica_divergence;
mod stale_fetch;
mod steps;
mod summary;
mod torn_batch;
mod trimmed_too_far;
mod two_owners;
mod undelivered;
mod unfenced;
mod unowned_partition;
mod unseen;
mod unstable_read;
mod zombie_write;

pub use anomaly::{Anomaly, Found, Name};
pub use summary::{FaultCoverage, Summary, Verdict};

use std::collections::BTreeSet;

use crate::index::Index;

/// All checks.
const CHECKS: &[fn(&Index) -> Found] = &[
    inconsistent_offsets::check,
    duplicate::check,
    lost_write::check,
    unseen::check,
    g1a::check,
    precommitted_read::check,
    poll_skip::check,
    nonmonotonic_poll::check,
    nonmonotonic_send::check,
    int_poll_skip::check,
    int_nonmonotonic_poll::check,
    int_send_skip::check,
    int_nonmonotonic_send::check,
    cycle::check,
    nonlinear_append::check,
    stale_fetch::check,
    high_watermark_back::check,
    unstable_read::check,
    invented_record::check,
    missing_acked::check,
    idempotence_broken::check,
    zombie_write::check,
    torn_batch::check,
    replica_divergence::check,
    log_start_back::check,
    trimmed_too_far::check,
    refused_inside::check,
    two_owners::check,
    unowned_partition::check,
    assignment_mismatch::check,
    generation_back::check,
    unfenced::check,
    nonlinear_commit::check,
    commit_back::check,
    commit_too_far::check,
    undelivered::check,
    redelivered::check,
    nonlinear_register::check,
];

/// Judges a history.
pub fn check(index: &Index) -> Summary {
    let mut found = Found::default();
    for check in CHECKS {
        found.merge(check(index));
    }
    Summary::of(index, found)
}

/// States of a register, in words.
fn words(states: &BTreeSet<Option<u64>>) -> String {
    let word = |state: &Option<u64>| state.map_or("nothing".to_owned(), |state| state.to_string());
    states.iter().map(word).collect::<Vec<_>>().join(", ")
}
