//! `nonmonotonic-send`: of two sends of a process to a key, the later stands at or before the earlier.

use super::anomaly::{Found, Name, Proof};
use super::steps::between_sends;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    between_sends(index, |step| {
        if step.goes_back() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::NonmonotonicSend, Some(step.key), &Proof::ops(&ops), || {
                step.back()
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::model::tale::{Tale, X, Y};

    fn tale(between: impl Fn(Tale) -> Tale) -> Tale {
        let tale = Tale::new().send(0, Ok, &[(X, 3, 13), (X, 4, 14)]);
        between(tale).send(0, Ok, &[(X, 1, 11), (X, 2, 12)])
    }

    #[test]
    fn a_later_send_may_not_stand_before_an_earlier() {
        assert_eq!(
            tale(|tale| tale).found(check),
            ["nonmonotonic-send 0: value 11 follows value 14, and stands 3 records before it"]
        );
    }

    #[test]
    fn an_assignment_without_the_key_forgets_it() {
        assert!(tale(|tale| tale.assign(0, &[Y])).found(check).is_empty());
        assert!(tale(|tale| tale.assign_as(0, Info, &[Y])).found(check).is_empty());
        assert_eq!(tale(|tale| tale.assign_as(0, Fail, &[Y])).found(check).len(), 1);
        assert_eq!(tale(|tale| tale.subscribe(0, &[X, Y])).found(check).len(), 1);
    }
}
