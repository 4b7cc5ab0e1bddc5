//! Claims: what waits for what, and what every ending of a proposal leaves behind.

use super::*;
use futures::FutureExt;
use storage::Index;

const T1: Term = Term::new(1);
const T2: Term = Term::new(2);
const AT: Offset = Offset::new(40);

fn batch(number: i32) -> Sequenced {
    Sequenced { producer_id: 7, epoch: 0, first: number, last: number }
}

fn claim(ledger: &Arc<Ledger>, term: Term, number: i32) -> Claimed {
    ledger.claim(term, &batch(number), Patience::Over)
}

fn mine(ledger: &Arc<Ledger>, term: Term, number: i32) -> Arc<Claim> {
    match claim(ledger, term, number) {
        Claimed::Mine(claim) => claim,
        other @ (Claimed::Duplicate(_)
        | Claimed::Twin(_)
        | Claimed::After(_)
        | Claimed::Early(_)
        | Claimed::Refused(_)
        | Claimed::Deposed) => panic!("{} instead of a claim", name(&other)),
    }
}

fn name(claimed: &Claimed) -> String {
    match claimed {
        Claimed::Mine(_) => "mine".into(),
        Claimed::Duplicate(at) => format!("duplicate of {at}"),
        Claimed::Twin(_) => "twin".into(),
        Claimed::After(_) => "after".into(),
        Claimed::Early(_) => "early".into(),
        Claimed::Refused(why) => format!("refused: {why}"),
        Claimed::Deposed => "deposed".into(),
    }
}

fn change(claimed: Claimed) -> Change {
    match claimed {
        Claimed::Twin(change) | Claimed::After(change) | Claimed::Early(change) => change,
        other @ (Claimed::Mine(_)
        | Claimed::Duplicate(_)
        | Claimed::Refused(_)
        | Claimed::Deposed) => panic!("{} does not wait", name(&other)),
    }
}

fn place(claim: &Claim) {
    claim.handed();
    claim.placed(AT);
}

fn apply(ledger: &Ledger, term: Term, number: i32) {
    ledger.applied(Position::new(term, Index::new(9)), &batch(number), AT);
}

fn is_woken(change: &mut Change) -> bool {
    change.heard().now_or_never().is_some()
}

#[test]
fn the_next_batch_goes_once_the_one_before_it_is_placed() {
    let ledger = Arc::default();
    let first = mine(&ledger, T1, 0);
    let mut waits = change(claim(&ledger, T1, 1));
    first.handed();
    assert!(!is_woken(&mut waits), "handed is not placed");
    first.placed(AT);
    assert!(is_woken(&mut waits));
    let second = mine(&ledger, T1, 1);
    assert_eq!(name(&claim(&ledger, T1, 2)), "after");
    place(&second);
    mine(&ledger, T1, 2);
}

#[test]
fn a_batch_on_its_way_is_not_claimed_again_until_its_fate_is_known() {
    let ledger = Arc::default();
    let first = mine(&ledger, T1, 0);
    assert_eq!(name(&claim(&ledger, T1, 0)), "twin");
    place(&first);
    let mut waits = change(claim(&ledger, T1, 0));
    // Its proposer is gone, openraft is done: but our log has it.
    drop(first);
    assert!(!is_woken(&mut waits));
    assert_eq!(name(&claim(&ledger, T1, 0)), "twin");
    apply(&ledger, T1, 0);
    assert!(is_woken(&mut waits));
    assert_eq!(name(&claim(&ledger, T1, 0)), "duplicate of 40");
}

#[test]
fn what_never_reached_the_log_is_claimed_anew() {
    let ledger = Arc::default();
    let first = mine(&ledger, T1, 0);
    let mut twin = change(claim(&ledger, T1, 0));
    drop(first);
    assert!(is_woken(&mut twin));
    mine(&ledger, T1, 0);
}

#[test]
fn what_the_log_was_given_and_did_not_say_it_has_stays_claimed() {
    let ledger = Arc::default();
    let first = mine(&ledger, T1, 0);
    first.handed();
    drop(first);
    assert_eq!(name(&claim(&ledger, T1, 0)), "twin");
    assert_eq!(name(&claim(&ledger, T1, 1)), "after");
}

#[test]
fn a_new_term_drops_what_was_on_its_way_and_wakes_who_waited() {
    let ledger = Arc::default();
    let first = mine(&ledger, T1, 0);
    place(&first);
    let mut twin = change(claim(&ledger, T1, 0));
    let again = mine(&ledger, T2, 0);
    assert!(is_woken(&mut twin));
    assert_eq!(name(&claim(&ledger, T1, 0)), "deposed");
    // The end of the old one is not the end of the new one.
    drop(first);
    assert_eq!(name(&claim(&ledger, T2, 0)), "twin");
    drop(again);
}

#[test]
fn a_committed_batch_of_another_leader_ends_our_term() {
    let ledger = Arc::default();
    place(&mine(&ledger, T1, 0));
    apply(&ledger, T2, 5);
    assert_eq!(name(&claim(&ledger, T1, 6)), "deposed");
    assert_eq!(name(&claim(&ledger, T2, 5)), "duplicate of 40");
    mine(&ledger, T2, 6);
}

#[test]
fn what_comes_too_early_waits_while_it_has_patience() {
    let ledger: Arc<Ledger> = Arc::default();
    let early = |number| ledger.claim(T1, &batch(number), Patience::Left);
    // Of an unknown producer anything may be the first; but perhaps the first is still coming.
    let mut second = change(early(1));
    let first = mine(&ledger, T1, 0);
    assert!(!is_woken(&mut second), "it hears of places");
    place(&first);
    assert!(is_woken(&mut second));
    let mut third = change(early(2));
    place(&mine(&ledger, T1, 1));
    assert!(is_woken(&mut third));
    let gap = ledger.claim(T1, &batch(3), Patience::Over);
    assert_eq!(name(&gap), "refused: sequence 2 of this producer is due");
}

#[test]
fn nothing_is_left_of_who_came_and_went() {
    let ledger: Arc<Ledger> = Arc::default();
    drop(change(ledger.claim(T1, &batch(3), Patience::Left)));
    drop(mine(&ledger, T1, 0));
    let first = mine(&ledger, T1, 0);
    drop(change(claim(&ledger, T1, 1)));
    assert_eq!(ledger.lock().pending[&ProducerId::new(7).unwrap()].waiting.len(), 0);
    place(&first);
    apply(&ledger, T1, 0);
    assert!(ledger.lock().pending.is_empty());
}
