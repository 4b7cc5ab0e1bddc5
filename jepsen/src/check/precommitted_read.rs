//! `precommitted-read`: a transaction polled a value that it sent itself.

use super::anomaly::{Found, Name, Proof};
use crate::index::{Index, Op, Reading, SentAt};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (id, op) in index.numbered() {
        let own = index.sends(op).iter().find(|sent| reads(index, op, sent));
        if let Some(sent) = own {
            found.add(index, Name::PrecommittedRead, Some(sent.key), &Proof::ops(&[id]), || {
                format!("value {} was read by the operation that sent it", sent.value)
            });
        }
    }
    found
}

fn reads(index: &Index, op: &Op, sent: &SentAt) -> bool {
    index.readings(op).iter().filter(|reading| reading.key() == sent.key).any(|reading| {
        match *reading {
            Reading::Odd { value, .. } => value == sent.value,
            Reading::Run { key, .. } => (reading.first()..=reading.last())
                .any(|offset| index.value_at(key, offset) == Some(sent.value)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::Ok;
    use crate::model::tale::{Tale, X, polled, sent};

    #[test]
    fn a_transaction_may_not_read_what_it_sends() {
        let tale = Tale::new().txn(0, Ok, vec![sent(X, 0, 7), polled(&[(X, 0, 7)])]);
        assert_eq!(
            tale.found(check),
            ["precommitted-read 0: value 7 was read by the operation that sent it"]
        );
    }

    #[test]
    fn it_may_read_what_others_sent() {
        let tale = Tale::new().txn(0, Ok, vec![sent(X, 1, 8), polled(&[(X, 0, 7)])]);
        assert!(tale.found(check).is_empty());
    }
}
