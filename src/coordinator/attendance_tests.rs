//! One test a row of the table.

use super::*;
use crate::coordinator::fixtures::{group, join, member, spec, topics};
use crate::coordinator::{MemberSpec, target};

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(4);
const NOW_MS: i64 = 5000;

/// `a` has everything, and the newest generation gives half of it to `b`.
fn moving(delivery: Delivery) -> Groups {
    let mut groups = Groups::default();
    for id in ["a", "b"] {
        let timed = MemberSpec {
            delivery,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 4_000,
            ..spec(id, &["t"])
        };
        groups.apply(join("g", timed)).unwrap();
        rebalance(&mut groups);
        if id == "a" {
            acknowledge(&mut groups, "a");
        }
    }
    groups
}

/// Both have their half.
fn stable() -> Groups {
    let mut groups = moving(Delivery::Client);
    acknowledge(&mut groups, "a");
    acknowledge(&mut groups, "b");
    groups
}

fn rebalance(groups: &mut Groups) {
    let present = groups.group(&group("g")).unwrap();
    let target = target::due(present, &topics(1, &[("t", 4)])).unwrap();
    groups.apply(Command::Assign { group: group("g"), target }).unwrap();
}

fn acknowledge(groups: &mut Groups, id: &str) {
    let generation = groups.group(&group("g")).unwrap().generation();
    let (group, member) = (group("g"), member(id));
    groups.apply(Command::Acknowledge { group, member, generation }).unwrap();
}

fn due(attendance: &mut Attendance, groups: &Groups, now: Instant) -> Due {
    attendance.due(groups, now, NOW_MS)
}

fn expulsion(groups: &Groups, id: &str) -> Command {
    expire(&group("g"), groups.group(&group("g")).unwrap().member(&member(id)).unwrap(), NOW_MS)
}

#[test]
fn a_member_that_is_heard_of_stays() {
    let groups = stable();
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    due(&mut attendance, &groups, start);
    let later = start + SESSION / 2;
    attendance.heard(&group("g"), &member("a"), later);
    attendance.heard(&group("g"), &member("b"), later);
    let look = due(&mut attendance, &groups, start + SESSION);
    assert_eq!(look, Due { commands: vec![], next: Some(later + SESSION) });
}

#[test]
fn a_member_that_is_silent_for_its_session_is_expelled() {
    let groups = stable();
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    assert_eq!(due(&mut attendance, &groups, start).next, Some(start + SESSION));
    attendance.heard(&group("g"), &member("b"), start + SESSION / 2);
    let look = due(&mut attendance, &groups, start + SESSION);
    let next = Some(start + SESSION / 2 + SESSION);
    assert_eq!(look, Due { commands: vec![expulsion(&groups, "a")], next });
}

#[test]
fn a_new_leader_gives_everybody_a_full_session() {
    let groups = stable();
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    due(&mut attendance, &groups, start);
    let successor = start + SESSION * 2;
    let look = due(&mut Attendance::default(), &groups, successor);
    assert_eq!(look, Due { commands: vec![], next: Some(successor + SESSION) });
}

#[test]
fn a_member_that_joins_anew_under_its_id_has_a_new_session() {
    let mut groups = stable();
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    due(&mut attendance, &groups, start);
    groups.apply(expulsion(&groups, "a")).unwrap();
    let attempt = Uuid::from_u128(2);
    let anew = MemberSpec { attempt, session_timeout_ms: 10_000, ..spec("a", &["t"]) };
    groups.apply(join("g", anew)).unwrap();
    let look = due(&mut attendance, &groups, start + SESSION);
    assert_eq!(look.commands, [expulsion(&groups, "b")]);
    assert_eq!(look.next, Some(start + SESSION * 2));
}

#[test]
fn a_member_that_does_not_release_what_it_reads_itself_is_expelled() {
    let groups = moving(Delivery::Client);
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    assert_eq!(due(&mut attendance, &groups, start).next, Some(start + REBALANCE));
    let look = due(&mut attendance, &groups, start + REBALANCE);
    assert_eq!(look.commands, [expulsion(&groups, "a")]);
}

#[test]
fn a_member_that_does_not_release_what_the_server_delivers_is_made_to() {
    let mut groups = moving(Delivery::Server);
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    due(&mut attendance, &groups, start);
    let look = due(&mut attendance, &groups, start + REBALANCE);
    let revoke = Command::Revoke { group: group("g"), member: member("a"), generation: 2 };
    assert_eq!(look.commands, std::slice::from_ref(&revoke));
    groups.apply(revoke).unwrap();
    // Then it has nothing to release, and stays.
    let look = due(&mut attendance, &groups, start + REBALANCE);
    assert_eq!(look, Due { commands: vec![], next: Some(start + SESSION) });
}

#[test]
fn a_new_generation_gives_a_new_rebalance_timeout() {
    let mut groups = moving(Delivery::Client);
    let (mut attendance, start) = (Attendance::default(), Instant::now());
    due(&mut attendance, &groups, start);
    groups
        .apply(join("g", MemberSpec { session_timeout_ms: 10_000, ..spec("c", &["t"]) }))
        .unwrap();
    rebalance(&mut groups);
    let seen = start + REBALANCE / 2;
    due(&mut attendance, &groups, seen);
    let look = due(&mut attendance, &groups, start + REBALANCE);
    assert_eq!(look, Due { commands: vec![], next: Some(seen + REBALANCE) });
}

#[test]
fn what_nobody_is_in_is_forgotten() {
    let mut groups = stable();
    let mut attendance = Attendance::default();
    due(&mut attendance, &groups, Instant::now());
    for id in ["a", "b"] {
        let (group, member) = (group("g"), member(id));
        groups.apply(Command::Leave { group, member, at_ms: 0 }).unwrap();
    }
    let look = due(&mut attendance, &groups, Instant::now());
    assert_eq!(look, Due { commands: vec![], next: None });
    assert!(attendance.groups.is_empty());
}
