//! Histories survive their file: what is written is read, and a torn last line is left out and told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use jepsen::history::{Event, Reader, ReaderError, Tail, Writer, edn};
use jepsen::model::{Shape, Workload, events, header};
use proptest::prelude::*;

fn shape(seed: u64, workload: Workload) -> Shape {
    Shape { seed, operations: 60, keys: 3, clients: 4, workload, fault_every: 20, replicas: 2 }
}

fn written(shape: &Shape) -> (Vec<u8>, Vec<Event>) {
    let mut events = events(shape);
    let mut writer = Writer::begin(Vec::new(), &header(shape)).unwrap();
    for event in &mut events {
        writer.append(event).unwrap();
    }
    (writer.finish().unwrap(), events)
}

fn workloads() -> impl Strategy<Value = Workload> {
    prop_oneof![Just(Workload::Log), Just(Workload::Idempotent), Just(Workload::Group)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(seed: u64, workload in workloads()) {
        let shape = shape(seed, workload);
        let (bytes, events) = written(&shape);
        let mut reader = Reader::open(bytes.as_slice()).unwrap();
        prop_assert_eq!(reader.header(), &header(&shape));
        let read: Vec<Event> = reader.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(read, events);
        prop_assert_eq!(reader.tail(), Tail::Whole);
    }

    #[test]
    fn a_history_cut_anywhere_reads_up_to_its_last_whole_line(seed: u64, workload in workloads(), at: prop::sample::Index) {
        let (bytes, events) = written(&shape(seed, workload));
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let cut = first + at.index(bytes.len() - first);
        let mut reader = Reader::open(&bytes[..cut]).unwrap();
        let read: Vec<Event> = reader.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&read[..], &events[..read.len()]);
        let whole = bytes[..cut].ends_with(b"\n");
        prop_assert_eq!(reader.tail() == Tail::Whole, whole);
        let lines = bytes[first..cut].split(|byte| *byte == b'\n').count() - 1;
        prop_assert_eq!(read.len(), lines);
    }

    #[test]
    fn an_export_has_a_line_for_every_operation_and_balanced_brackets(seed: u64, workload in workloads()) {
        let (bytes, _) = written(&shape(seed, workload));
        let mut out = Vec::new();
        let count = edn::export(Reader::open(bytes.as_slice()).unwrap(), &BTreeSet::new(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(text.lines().count() as u64, count + 1);
        for (open, close) in [('{', '}'), ('[', ']')] {
            prop_assert_eq!(text.matches(open).count(), text.matches(close).count());
        }
        for (index, line) in text.lines().skip(1).enumerate() {
            let head = format!("{{:index {index} :time ");
            prop_assert!(line.starts_with(&head), "{}", line);
        }
    }
}

#[test]
fn garbage_before_the_last_line_is_an_error_with_its_line() {
    let (bytes, _) = written(&shape(1, Workload::Log));
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines[3] = b"{\"i\":2,\n";
    let spoiled = lines.concat();
    let error = Reader::open(spoiled.as_slice()).unwrap().find_map(Result::err).unwrap();
    assert!(matches!(error, ReaderError::Line { line: 4, .. }), "{error}");
}

#[test]
fn events_that_do_not_ascend_are_an_error() {
    let (bytes, _) = written(&shape(1, Workload::Log));
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.swap(4, 5);
    let swapped = lines.concat();
    let error = Reader::open(swapped.as_slice()).unwrap().find_map(Result::err).unwrap();
    assert!(matches!(error, ReaderError::Order { line: 6, .. }), "{error}");
}
