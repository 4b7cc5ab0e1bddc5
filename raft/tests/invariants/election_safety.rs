//! Election Safety (Raft, figure 3 and §5.2): at most one leader in a term.

use super::History;
use raft::{GroupId, NodeId, Role, Term};
use std::collections::BTreeMap;

pub fn check(history: &History) {
    let mut leaders: BTreeMap<(GroupId, Term), NodeId> = BTreeMap::new();
    for (group, node, role) in history.roles() {
        if let Role::Taking { term } | Role::Leading { term } = role {
            let leader = *leaders.entry((group, term)).or_insert(node);
            assert_eq!(leader, node, "group {group}: two leaders in term {term}");
        }
    }
}
