//! Lanes over the time of a run: one per node, one per partition.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::availability::{Gap, Span};
use super::chart::{Axis, open, put, seconds};
use super::escaped;
use crate::history::{Key, NodeState};
use crate::index::Index;

const LANE_HEIGHT: f64 = 20.0;
/// Partitions that get a lane; the others are only counted.
const PARTITIONS_MAX: usize = 48;
/// Colours of leaders; the ninth node has the first one's again.
const COLOURS: usize = 8;

/// A state from one time to another.
struct Stretch {
    from: u64,
    to: u64,
    class: String,
    words: String,
}

fn state_class(state: NodeState) -> (&'static str, &'static str) {
    match state {
        NodeState::Up => ("up", "up"),
        NodeState::Down => ("down", "down"),
        NodeState::Paused => ("paused", "paused"),
        NodeState::Cut => ("cut", "cut off"),
        NodeState::DiskFault => ("disk", "disk fault"),
    }
}

/// Closes the last stretch of a lane and begins another.
fn turn(lane: &mut Vec<Stretch>, time: u64, class: String, words: String) {
    if let Some(last) = lane.last_mut() {
        last.to = time;
    }
    lane.push(Stretch { from: time, to: time, class, words });
}

fn draw(lanes: &[(String, Vec<Stretch>)], index: &Index, spans: &[Span<'_>], what: &str) -> String {
    let axis = Axis::new(index.ended);
    let count = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
    let bottom = LANE_HEIGHT * f64::from(count);
    let mut svg = open(bottom + 22.0, what);
    axis.ticks(&mut svg, 0.0, bottom);
    axis.bands(&mut svg, spans, bottom);
    let mut top = 0.0;
    for (name, lane) in lanes {
        put!(svg, r#"<text class="lane" x="8" y="{:.0}">{}</text>"#, top + 14.0, escaped(name));
        for stretch in lane {
            let (from, to) = (axis.x(stretch.from), axis.x(stretch.to));
            let width = (to - from).max(1.0);
            put!(
                svg,
                r#"<rect class="{}" x="{from:.1}" y="{:.0}" width="{width:.1}" height="{:.0}"><title>{} {}, {:.2} s to {:.2} s</title></rect>"#,
                stretch.class,
                top + 3.0,
                LANE_HEIGHT - 6.0,
                escaped(name),
                escaped(&stretch.words),
                seconds(stretch.from),
                seconds(stretch.to),
            );
        }
        top += LANE_HEIGHT;
    }
    svg + "</svg>"
}

fn end(lanes: &mut BTreeMap<String, Vec<Stretch>>, at: u64) {
    for last in lanes.values_mut().filter_map(|lane| lane.last_mut()) {
        last.to = at;
    }
}

/// One lane per node: up, down, paused, cut off, with a disk fault.
pub(super) fn nodes(index: &Index, spans: &[Span<'_>]) -> String {
    let mut lanes: BTreeMap<String, Vec<Stretch>> =
        index.header.nodes.iter().map(|node| (node.clone(), Vec::new())).collect();
    for (time, state) in &index.states {
        for (node, state) in &state.nodes {
            let (class, words) = state_class(*state);
            turn(lanes.entry(node.clone()).or_default(), *time, class.to_owned(), words.to_owned());
        }
    }
    end(&mut lanes, index.ended);
    draw(&lanes.into_iter().collect::<Vec<_>>(), index, spans, "nodes over time")
}

/// One lane per partition: its leader in the colour of that node, nothing while there is none, and where no
/// record was acknowledged a line.
pub(super) fn partitions(index: &Index, spans: &[Span<'_>], gaps: &[Gap]) -> String {
    let mut lanes: BTreeMap<Key, Vec<Stretch>> = BTreeMap::new();
    for (time, state) in &index.states {
        for (key, leadership) in &state.leaders {
            let lane = lanes.entry(*key).or_default();
            let term = leadership.term;
            match &leadership.leader {
                Some(leader) => {
                    let class = format!("leader{}", colour(index, leader));
                    turn(lane, *time, class, format!("led by {leader} in term {term}"));
                }
                None => turn(
                    lane,
                    *time,
                    "none".to_owned(),
                    format!("without leader after term {term}"),
                ),
            }
        }
    }
    let mut drawn: Vec<(String, Vec<Stretch>)> = Vec::new();
    for (key, mut lane) in lanes.into_iter().take(PARTITIONS_MAX) {
        if let Some(last) = lane.last_mut() {
            last.to = index.ended;
        }
        lane.extend(gaps.iter().filter(|gap| gap.key == key).map(|gap| Stretch {
            from: gap.from,
            to: gap.to,
            class: "gap".to_owned(),
            words: format!("acknowledged nothing ({})", gap.causes.join(", ")),
        }));
        drawn.push((index.header.name_of(key), lane));
    }
    draw(&drawn, index, spans, "partitions over time")
}

/// The colour of a node.
pub(super) fn colour(index: &Index, node: &str) -> usize {
    index.header.nodes.iter().position(|name| name == node).unwrap_or_default() % COLOURS
}
