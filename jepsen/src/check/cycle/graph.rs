//! Operations and what they depend on.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::history::Outcome;
use crate::index::{Index, Log, Op, OpId, Reading};

/// One dependency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) kind: u8,
}

impl Edge {
    pub(super) const WW: u8 = 1;
    pub(super) const WR: u8 = 2;
    pub(super) const PROCESS: u8 = 4;
    pub(super) const REALTIME: u8 = 8;
    pub(super) const ALL: u8 = 15;

    pub(super) fn word(self) -> &'static str {
        match self.kind {
            Edge::WW => "ww",
            Edge::WR => "wr",
            Edge::PROCESS => "process",
            _ => "realtime",
        }
    }
}

/// Edges by their beginning.
pub(super) struct Graph {
    edges: Vec<Edge>,
    /// Where the edges of each node begin; one more at the end.
    starts: Vec<usize>,
}

impl Graph {
    fn new(mut edges: Vec<Edge>, nodes: usize) -> Graph {
        edges.retain(|edge| edge.from != edge.to);
        edges.sort_unstable();
        edges.dedup();
        let mut starts = Vec::with_capacity(nodes + 1);
        let mut place = 0;
        for node in 0..=nodes {
            while edges.get(place).is_some_and(|edge| OpId(edge.from).place() < node) {
                place += 1;
            }
            starts.push(place);
        }
        Graph { edges, starts }
    }

    /// All dependencies of a history.
    pub(super) fn of(index: &Index) -> Graph {
        let mut edges = Vec::new();
        if index.header.ww_deps {
            index.logs().for_each(|(_, log)| ww(log, &mut edges));
        }
        wr(index, &mut edges);
        process(index, &mut edges);
        realtime(index, &mut edges);
        Graph::new(edges, index.ops.len())
    }

    /// The same, with only these nodes' edges among themselves.
    pub(super) fn only(self, nodes: &BTreeSet<u32>) -> Graph {
        let count = self.nodes();
        let inside = |edge: &Edge| nodes.contains(&edge.from) && nodes.contains(&edge.to);
        Graph::new(self.edges.into_iter().filter(inside).collect(), count)
    }

    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn edges_of(&self, node: u32) -> &[Edge] {
        let place = OpId(node).place();
        match (self.starts.get(place), self.starts.get(place + 1)) {
            (Some(from), Some(to)) => self.edges.get(*from..*to).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Which kinds of edges a component has inside.
    pub(super) fn kinds_inside(&self, nodes: &BTreeSet<u32>, may: u8) -> u8 {
        let inside = nodes.iter().flat_map(|node| self.edges_of(*node));
        inside
            .filter(|edge| edge.kind & may != 0 && nodes.contains(&edge.to))
            .fold(0, |kinds, edge| kinds | edge.kind)
    }

    /// A short cycle of a component through an edge of the wanted kinds.
    pub(super) fn cycle(&self, nodes: &BTreeSet<u32>, may: u8, wanted: u8) -> Vec<Edge> {
        let inside = nodes.iter().flat_map(|node| self.edges_of(*node));
        let inside = inside.filter(|edge| nodes.contains(&edge.to) && edge.kind & may != 0);
        let Some(first) = inside
            .filter(|edge| edge.kind & wanted != 0)
            .min_by_key(|edge| std::cmp::Reverse(edge.kind))
        else {
            return Vec::new();
        };
        let mut by: BTreeMap<u32, Edge> = BTreeMap::new();
        let mut queue = VecDeque::from([first.to]);
        while let Some(node) = queue.pop_front().filter(|node| *node != first.from) {
            for edge in self.edges_of(node).iter().filter(|edge| edge.kind & may != 0) {
                if nodes.contains(&edge.to) && edge.to != first.to && !by.contains_key(&edge.to) {
                    by.insert(edge.to, *edge);
                    queue.push_back(edge.to);
                }
            }
        }
        let mut cycle = vec![*first];
        let mut back = Vec::new();
        let mut node = first.from;
        while let Some(edge) = by.get(&node) {
            back.push(*edge);
            node = edge.from;
        }
        cycle.extend(back.into_iter().rev());
        cycle
    }
}

fn may_have_happened(op: &Op) -> bool {
    op.act.is_micro() && op.outcome != Outcome::Fail
}

/// Who sent a value, even if that failed: what is in a log was sent.
fn writer(log: &Log, value: u64) -> Option<OpId> {
    log.note(value)?.writer
}

fn ww(log: &Log, edges: &mut Vec<Edge>) {
    let mut before: Option<OpId> = None;
    for slot in log.slots() {
        let stands = !log.is_suspect(slot.offset, slot.offset)
            || log.position(slot.value) == Some(slot.rank);
        let writer = writer(log, slot.value);
        if let (Some(from), Some(to), true) = (before, writer, stands) {
            edges.push(Edge { from: from.0, to: to.0, kind: Edge::WW });
        }
        before = writer;
    }
}

/// A run's last value stands for all of it where writes have an order: the others lead to it.
fn wr(index: &Index, edges: &mut Vec<Edge>) {
    for (id, op) in index.numbered().filter(|(_, op)| op.outcome == Outcome::Ok) {
        for reading in index.readings(op) {
            let Some(log) = index.log(reading.key()) else { continue };
            let mut from = |value: u64| {
                if let Some(writer) = writer(log, value) {
                    edges.push(Edge { from: writer.0, to: id.0, kind: Edge::WR });
                }
            };
            match *reading {
                Reading::Odd { value, .. } => from(value),
                Reading::Run { .. } => {
                    let (first, last) = (reading.first(), reading.last());
                    let whole = !index.header.ww_deps || log.is_suspect(first, last);
                    let first = if whole { first } else { last };
                    (first..=last).filter_map(|offset| log.primary(offset)).for_each(&mut from);
                }
            }
        }
    }
}

fn process(index: &Index, edges: &mut Vec<Edge>) {
    let mut last: HashMap<u32, OpId> = HashMap::new();
    for (id, op) in index.numbered().filter(|(_, op)| may_have_happened(op)) {
        if let Some(before) = last.insert(op.process, id) {
            edges.push(Edge { from: before.0, to: id.0, kind: Edge::PROCESS });
        }
    }
}

/// Follows the line of time: an operation depends on those that are over when it begins and that no other such
/// depends on. Those are never more than run at once.
fn realtime(index: &Index, edges: &mut Vec<Edge>) {
    let mut line: Vec<(u32, bool, OpId)> = Vec::new();
    for (id, op) in index.numbered().filter(|(_, op)| op.act.is_micro()) {
        line.push((op.invoked, true, id));
        if let (Some(completed), Outcome::Ok) = (op.completed, op.outcome) {
            line.push((completed, false, id));
        }
    }
    // An operation without a beginning begins where it ends.
    line.sort_unstable_by_key(|(event, begins, _)| (*event, !begins));
    let mut frontier: Vec<OpId> = Vec::new();
    let mut before: HashMap<OpId, Vec<OpId>> = HashMap::new();
    for (_, begins, id) in line {
        if begins {
            edges.extend(frontier.iter().map(|from| Edge {
                from: from.0,
                to: id.0,
                kind: Edge::REALTIME,
            }));
            if index.op(id).outcome == Outcome::Ok {
                before.insert(id, frontier.clone());
            }
        } else {
            let covered = before.remove(&id).unwrap_or_default();
            frontier.retain(|op| !covered.contains(op));
            frontier.push(id);
        }
    }
}
