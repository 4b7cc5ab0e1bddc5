//! Cycles of dependencies between operations, as Adya named them: `G0`, `G1c`, and both with the order inside
//! processes or with real time.
//!
//! | edge | from | to |
//! |---|---|---|
//! | ww | who sent a value | who sent the next one in the log; only if the run wants `ww_deps` |
//! | wr | who sent a value | who read it, `ok` |
//! | process | an operation | the next of its process |
//! | realtime | an operation | those that began when it was over, without those that follow from others |
//!
//! One search over all edges decides; only if it finds a component is that one classified. A component is
//! reported under the weakest name that fits: its cycle is one of that, and adding edges would only rename it.
//! As in the original, dependencies of a read on what overwrites it are not drawn.

mod components;
mod graph;

use std::collections::BTreeSet;

use graph::{Edge, Graph};

use super::anomaly::{Found, Name, Proof};
use crate::index::{Index, OpId};

/// A name, the edges its cycles may have, and those they must.
const CLASSES: &[(Name, u8, u8)] = &[
    (Name::G0, Edge::WW, 0),
    (Name::G1c, Edge::WW | Edge::WR, Edge::WR),
    (Name::G0Process, Edge::WW | Edge::PROCESS, Edge::PROCESS),
    (Name::G1cProcess, Edge::WW | Edge::WR | Edge::PROCESS, Edge::WR | Edge::PROCESS),
    (Name::G0Realtime, Edge::WW | Edge::PROCESS | Edge::REALTIME, Edge::REALTIME),
    (Name::G1cRealtime, Edge::ALL, Edge::WR | Edge::REALTIME),
];

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let graph = Graph::of(index);
    let tangled: BTreeSet<u32> =
        components::components(&graph, Edge::ALL).into_iter().flatten().collect();
    if tangled.is_empty() {
        return found;
    }
    let graph = graph.only(&tangled);
    let mut reported = BTreeSet::new();
    for (name, may, must) in CLASSES {
        for component in components::components(&graph, *may) {
            let nodes: BTreeSet<u32> = component.into_iter().collect();
            let inside = graph.kinds_inside(&nodes, *may);
            if inside & must != *must || nodes.iter().any(|node| reported.contains(node)) {
                continue;
            }
            let wanted = if *must == 0 { Edge::WW } else { *must };
            let cycle = graph.cycle(&nodes, *may, wanted);
            let ops: Vec<OpId> = cycle.iter().map(|edge| OpId(edge.from)).collect();
            found.add(index, *name, None, &Proof::ops(&ops), || words(index, &cycle));
            reported.extend(nodes);
        }
    }
    found
}

fn words(index: &Index, cycle: &[Edge]) -> String {
    let event = |node: u32| {
        let op = index.op(OpId(node));
        op.completed.unwrap_or(op.invoked)
    };
    let steps: Vec<String> =
        cycle.iter().map(|edge| format!("{} -{}->", event(edge.from), edge.word())).collect();
    let back = cycle.first().map_or(0, |edge| event(edge.from));
    format!("events {} {back}", steps.join(" "))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::history::Operation;
    use crate::model::tale::{Tale, X, Y, none, poll, polled, send, sent};

    #[test]
    fn two_sends_in_opposite_orders_are_g0() {
        let tale = Tale::new()
            .begin(0, send(&[(X, 0, 1), (Y, 0, 1)]))
            .begin(1, send(&[(X, 0, 2), (Y, 0, 2)]))
            .end(0, Ok, send(&[(X, 0, 1), (Y, 1, 1)]))
            .end(1, Ok, send(&[(X, 1, 2), (Y, 0, 2)]));
        assert_eq!(tale.found(check), ["G0: events 2 -ww-> 3 -ww-> 2"]);
    }

    fn crossed() -> Tale {
        let one = Operation::Txn(vec![sent(X, 0, 1), polled(&[(Y, 0, 2)])]);
        let two = Operation::Txn(vec![sent(Y, 0, 2), polled(&[(X, 0, 1)])]);
        Tale::new().begin(0, one.clone()).begin(1, two.clone()).end(0, Ok, one).end(1, Ok, two)
    }

    #[test]
    fn two_transactions_that_read_each_other_are_g1c() {
        assert_eq!(crossed().found(check), ["G1c: events 2 -wr-> 3 -wr-> 2"]);
    }

    #[test]
    fn so_they_are_without_the_order_of_writes() {
        let mut tale = crossed();
        tale.header.ww_deps = false;
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn a_write_and_a_read_may_close_a_circle() {
        let one = Operation::Txn(vec![sent(X, 0, 1), sent(Y, 2, 3)]);
        let two = Operation::Txn(vec![polled(&[(X, 0, 1)]), sent(Y, 1, 2)]);
        let tale =
            Tale::new().begin(0, one.clone()).begin(1, two.clone()).end(0, Ok, one).end(1, Ok, two);
        assert_eq!(tale.found(check), ["G1c: events 2 -wr-> 3 -ww-> 2"]);
    }

    #[test]
    fn a_value_that_is_read_before_it_is_sent_closes_one_with_real_time() {
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 1)]).send(1, Ok, &[(X, 0, 1)]);
        assert_eq!(tale.found(check), ["G1c-realtime: events 1 -realtime-> 3 -wr-> 1"]);
    }

    #[test]
    fn so_does_one_whose_send_fails_later() {
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 1)]).send(1, Fail, &[(X, none(), 1)]);
        assert_eq!(tale.found(check), ["G1c-realtime: events 1 -realtime-> 3 -wr-> 1"]);
    }

    #[test]
    fn one_process_that_reads_what_it_sends_later_closes_one_with_its_order() {
        let tale = Tale::new().begin(0, poll(&[(X, 0, 1)])).end(0, Ok, poll(&[(X, 0, 1)])).send(
            0,
            Ok,
            &[(X, 0, 1)],
        );
        assert_eq!(tale.found(check), ["G1c-process: events 1 -process-> 3 -wr-> 1"]);
    }

    #[test]
    fn sends_and_reads_in_order_close_none() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 0, 1)])
            .send(1, Info, &[(X, 1, 2)])
            .poll(2, Ok, &[(X, 0, 1), (X, 1, 2)])
            .send(0, Ok, &[(X, 2, 3)]);
        assert!(tale.found(check).is_empty());
    }
}
