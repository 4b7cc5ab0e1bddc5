//! Whether operations on one register can be put in an order that obeys real time and the register.
//!
//! The search of Wing and Gong with Lowe's two improvements: configurations are remembered, and an operation is
//! put in its place just in time, when it returns. A configuration is the register's state and the set of
//! operations that have been placed and have not returned. Three reductions keep configurations few, and none
//! of them changes the answer:
//!
//! - a read is placed as soon as the state is what it read: it changes nothing for the others;
//! - a write of unknown outcome whose value nobody read, and no exchange expects, is left out;
//! - a read of unknown outcome says nothing.

use std::collections::BTreeSet;

use crate::history::Outcome;
use crate::index::{Index, OpId};

/// More than this many configurations at once, and the question stays open.
const CONFIGURATIONS_MAX: usize = 50_000;

/// What a register holds.
pub(super) type State = Option<u64>;

/// What was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Write(State),
    Read(State),
    /// It held the first, and holds the second from then on.
    Exchange(State, State),
}

/// One operation on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operated {
    pub(super) op: OpId,
    pub(super) access: Access,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Exists,
    /// There is none that this operation fits in; the states it could have met.
    None {
        op: OpId,
        states: BTreeSet<State>,
    },
    /// Too many configurations.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    state: State,
    /// Operations that are placed and have not returned, ascending.
    placed: Vec<usize>,
}

struct Search<'a> {
    operated: &'a [Operated],
    /// Operations that have begun and not returned.
    open: Vec<usize>,
    configurations: BTreeSet<Configuration>,
}

impl Access {
    fn apply(self, state: State) -> Option<State> {
        match self {
            Access::Write(to) => Some(to),
            Access::Read(value) => (value == state).then_some(state),
            Access::Exchange(from, to) => (from == state).then_some(to),
        }
    }
}

/// Looks for an order that begins in one of the states `initial`.
pub(super) fn order(index: &Index, initial: &[State], operated: Vec<Operated>) -> Order {
    let operated = relevant(index, operated);
    let mut line = Vec::new();
    for (place, one) in operated.iter().enumerate() {
        let op = index.op(one.op);
        line.push((op.invoked, 0, place));
        if let (Some(completed), Outcome::Ok) = (op.completed, op.outcome) {
            line.push((completed, 1, place));
        }
    }
    line.sort_unstable();
    let configurations =
        initial.iter().map(|state| Configuration { state: *state, placed: Vec::new() }).collect();
    let mut search = Search { operated: &operated, open: Vec::new(), configurations };
    for (_, returns, place) in line {
        if returns == 0 {
            search.begins(place);
            continue;
        }
        let states = search.configurations.iter().map(|one| one.state).collect();
        match search.returns(place) {
            Ok(()) if !search.configurations.is_empty() => {}
            Ok(()) => {
                let op = operated.get(place).map_or(OpId(0), |one| one.op);
                return Order::None { op, states };
            }
            Err(TooMany) => return Order::Open,
        }
    }
    Order::Exists
}

struct TooMany;

/// Without what says nothing.
fn relevant(index: &Index, operated: Vec<Operated>) -> Vec<Operated> {
    let outcome = |one: &Operated| index.op(one.op).outcome;
    let wanted: BTreeSet<State> = operated
        .iter()
        .filter_map(|one| match one.access {
            Access::Read(value) if outcome(one) == Outcome::Ok => Some(value),
            Access::Exchange(from, _) => Some(from),
            Access::Read(_) | Access::Write(_) => None,
        })
        .collect();
    let keep = |one: &Operated| match (outcome(one), one.access) {
        (Outcome::Ok, _) | (Outcome::Info, Access::Exchange(..)) => true,
        (Outcome::Info, Access::Write(value)) => wanted.contains(&value),
        (Outcome::Info, Access::Read(_)) | (Outcome::Fail, _) => false,
    };
    operated.into_iter().filter(keep).collect()
}

impl Search<'_> {
    fn access(&self, place: usize) -> Access {
        self.operated.get(place).map_or(Access::Read(None), |one| one.access)
    }

    /// Places every open read that the state answers.
    fn with_reads(&self, mut configuration: Configuration) -> Configuration {
        for place in &self.open {
            let answered = self.access(*place) == Access::Read(configuration.state);
            if let (true, Err(at)) = (answered, configuration.placed.binary_search(place)) {
                configuration.placed.insert(at, *place);
            }
        }
        configuration
    }

    fn begins(&mut self, place: usize) {
        self.open.push(place);
        if matches!(self.access(place), Access::Read(_)) {
            let before = std::mem::take(&mut self.configurations);
            self.configurations = before.into_iter().map(|one| self.with_reads(one)).collect();
        }
    }

    fn returns(&mut self, place: usize) -> Result<(), TooMany> {
        let before = std::mem::take(&mut self.configurations);
        let mut after = BTreeSet::new();
        let mut seen: BTreeSet<Configuration> = BTreeSet::new();
        let mut stack: Vec<Configuration> = before.into_iter().collect();
        while let Some(mut one) = stack.pop() {
            if let Ok(at) = one.placed.binary_search(&place) {
                one.placed.remove(at);
                after.insert(one);
                continue;
            }
            for next in &self.open {
                let Err(at) = one.placed.binary_search(next) else { continue };
                if let Some(state) = self.access(*next).apply(one.state) {
                    let mut placed = one.placed.clone();
                    placed.insert(at, *next);
                    let moved = self.with_reads(Configuration { state, placed });
                    if seen.insert(moved.clone()) {
                        stack.push(moved);
                    }
                }
            }
            if seen.len() + after.len() > CONFIGURATIONS_MAX {
                return Err(TooMany);
            }
        }
        self.open.retain(|open| *open != place);
        self.configurations = after;
        Ok(())
    }
}
