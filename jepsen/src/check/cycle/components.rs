//! Strongly connected components (Tarjan 1972), without recursion.

use super::graph::Graph;
use crate::index::OpId;

const UNSEEN: u32 = u32::MAX;

struct Search<'a> {
    graph: &'a Graph,
    may: u8,
    next: u32,
    order: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<u32>,
    /// Nodes under way, and how many of their edges have been followed.
    path: Vec<(u32, usize)>,
    found: Vec<Vec<u32>>,
}

/// The components of more than one node, over edges of the kinds `may`.
pub(super) fn components(graph: &Graph, may: u8) -> Vec<Vec<u32>> {
    let count = graph.nodes();
    let mut search = Search {
        graph,
        may,
        next: 0,
        order: vec![UNSEEN; count],
        low: vec![0; count],
        on_stack: vec![false; count],
        stack: Vec::new(),
        path: Vec::new(),
        found: Vec::new(),
    };
    for node in 0..count {
        let node = OpId::at(node).0;
        if search.order_of(node) == UNSEEN {
            search.run(node);
        }
    }
    search.found
}

impl Search<'_> {
    fn order_of(&self, node: u32) -> u32 {
        self.order.get(OpId(node).place()).copied().unwrap_or(UNSEEN)
    }

    fn enter(&mut self, node: u32) {
        let place = OpId(node).place();
        if let (Some(order), Some(low), Some(on_stack)) =
            (self.order.get_mut(place), self.low.get_mut(place), self.on_stack.get_mut(place))
        {
            *order = self.next;
            *low = self.next;
            *on_stack = true;
        }
        self.next += 1;
        self.stack.push(node);
        self.path.push((node, 0));
    }

    fn lower(&mut self, node: u32, to: u32) {
        if let Some(low) = self.low.get_mut(OpId(node).place()) {
            *low = (*low).min(to);
        }
    }

    fn run(&mut self, root: u32) {
        let graph = self.graph;
        self.enter(root);
        while let Some((node, followed)) = self.path.last_mut() {
            let node = *node;
            if let Some(edge) = graph.edges_of(node).get(*followed) {
                *followed += 1;
                if edge.kind & self.may == 0 {
                    continue;
                }
                let order = self.order_of(edge.to);
                if order == UNSEEN {
                    self.enter(edge.to);
                } else if self.on_stack.get(OpId(edge.to).place()) == Some(&true) {
                    self.lower(node, order);
                }
            } else {
                self.path.pop();
                self.leave(node);
            }
        }
    }

    fn leave(&mut self, node: u32) {
        let low = self.low.get(OpId(node).place()).copied().unwrap_or(UNSEEN);
        if let Some((parent, _)) = self.path.last() {
            self.lower(*parent, low);
        }
        if low != self.order_of(node) {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            if let Some(on_stack) = self.on_stack.get_mut(OpId(member).place()) {
                *on_stack = false;
            }
            component.push(member);
            if member == node {
                break;
            }
        }
        if component.len() > 1 {
            self.found.push(component);
        }
    }
}
