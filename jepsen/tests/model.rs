//! Histories of the model never fail.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use jepsen::check::{Anomaly, Summary, Verdict, check};
use jepsen::history::{Event, Header, Tail};
use jepsen::index::Builder;
use jepsen::model::mutation::MUTATIONS;
use jepsen::model::{Shape, Workload, events, header};
use proptest::prelude::*;

fn judged(header: &Header, events: &[Event]) -> Summary {
    let mut builder = Builder::new(header.clone());
    for event in events {
        builder.event(event);
    }
    check(&builder.finish(Tail::Whole))
}

fn shape(seed: u64, workload: Workload) -> Shape {
    Shape { seed, operations: 1_500, keys: 4, clients: 6, workload, fault_every: 400, replicas: 3 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn histories_of_the_model_never_fail(seed: u64, workload in prop_oneof![
        Just(Workload::Log), Just(Workload::Idempotent), Just(Workload::Group), Just(Workload::Compacted)
    ]) {
        let shape = shape(seed, workload);
        let summary = judged(&header(&shape), &events(&shape));
        let wrong = summary.shown.iter().filter(|one| summary.anomalies.contains_key(&one.name));
        prop_assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Anomaly>::new());
        prop_assert_eq!(summary.verdict, Verdict::Valid, "{:?}", summary.reasons);
        prop_assert!(summary.acknowledged > 500);
    }
}

/// Each mutation is tried on histories of every workload until enough had a place for it.
#[test]
fn each_mutation_is_found_under_its_name() {
    let workloads = [Workload::Log, Workload::Idempotent, Workload::Group];
    let clean: Vec<(Header, Vec<Event>)> = workloads
        .into_iter()
        .flat_map(|workload| (1..4).map(move |seed| shape(seed, workload)))
        .map(|shape| (header(&shape), events(&shape)))
        .collect();
    let mut missed = Vec::new();
    for mutation in MUTATIONS {
        let mut tried = 0;
        for (header, events) in &clean {
            let mut events = events.clone();
            if tried < 3 && mutation.apply(&mut events) {
                tried += 1;
                let summary = judged(header, &events);
                if !summary.has(mutation.name) {
                    let found = summary.anomalies.keys().map(|name| name.word());
                    let found: Vec<_> =
                        found.chain(summary.allowed.keys().map(|name| name.word())).collect();
                    let (name, seed) = (mutation.name, header.seed);
                    missed.push(format!(
                        "{} ({}, {seed}): not {name}, but {found:?}",
                        mutation.what, header.workload
                    ));
                }
            }
        }
        if tried == 0 {
            missed.push(format!("{}: no history had a place for it", mutation.what));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
