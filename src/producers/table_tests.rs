//! The table's rows, one test each, and the table against a model that forgets nothing but what it must.

use super::*;
use proptest::prelude::*;

const P: i64 = 7;

fn producer(id: i64) -> ProducerId {
    ProducerId::new(id).unwrap()
}

fn batch(producer_id: i64, epoch: i16, first: i32, records: i32) -> Sequenced {
    let last = (first.wrapping_add(records - 1).cast_unsigned() & 0x7fff_ffff).cast_signed();
    Sequenced { producer_id, epoch, first, last }
}

/// A table after batches of three records each, at offsets 0, 10, 20, …
fn table(batches: &[Sequenced]) -> Table {
    let mut table = Table::default();
    for (batch, at) in batches.iter().zip(0..) {
        table.apply(batch, Offset::new(10 * at));
    }
    table
}

fn judge(table: &Table, batch: Sequenced) -> Verdict {
    table.judge(&batch, None)
}

const fn duplicate(of: u64) -> Verdict {
    Verdict::Duplicate(Offset::new(of))
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    assert_eq!(judge(&table(&[]), batch(P, 0, 0, 3)), Verdict::Next);
    assert_eq!(judge(&table(&[batch(8, 0, 0, 3)]), batch(P, 4, 77, 3)), Verdict::Next);
}

#[test]
fn a_lower_epoch_is_fenced() {
    let table = table(&[batch(P, 2, 0, 3)]);
    let fenced = Verdict::Refused(Refusal::Fenced { epoch: 2 });
    assert_eq!(judge(&table, batch(P, 1, 3, 3)), fenced);
    assert_eq!(judge(&table, batch(P, 1, 0, 3)), fenced);
}

#[test]
fn a_higher_epoch_begins_at_sequence_0() {
    let table = table(&[batch(P, 2, 0, 3)]);
    assert_eq!(judge(&table, batch(P, 3, 0, 3)), Verdict::Next);
    assert_eq!(judge(&table, batch(P, 3, 3, 3)), Verdict::Refused(Refusal::Gap { due: 0 }));
}

#[test]
fn each_of_the_last_five_batches_is_a_duplicate() {
    let all: Vec<_> = (0..6).map(|n| batch(P, 0, 3 * n, 3)).collect();
    let table = table(&all);
    for (number, batch) in (0..).zip(&all).skip(1) {
        assert_eq!(judge(&table, *batch), duplicate(10 * number));
    }
    assert_eq!(judge(&table, all[0]), Verdict::Refused(Refusal::Stale { due: 18 }));
}

#[test]
fn the_batch_after_the_last_is_next() {
    assert_eq!(judge(&table(&[batch(P, 0, 0, 3)]), batch(P, 0, 3, 9)), Verdict::Next);
}

#[test]
fn a_batch_further_on_is_a_gap() {
    let table = table(&[batch(P, 0, 0, 3)]);
    assert_eq!(judge(&table, batch(P, 0, 4, 3)), Verdict::Refused(Refusal::Gap { due: 3 }));
}

#[test]
fn a_batch_that_was_cut_another_way_is_stale() {
    let table = table(&[batch(P, 0, 0, 3)]);
    for other in [batch(P, 0, 0, 2), batch(P, 0, 1, 2), batch(P, 0, 2, 3)] {
        assert_eq!(judge(&table, other), Verdict::Refused(Refusal::Stale { due: 3 }), "{other:?}");
    }
}

#[test]
fn sequences_wrap_from_the_largest_to_0() {
    let last = batch(P, 0, i32::MAX - 2, 3);
    let whole = table(&[last]);
    assert_eq!(judge(&whole, last), duplicate(0));
    assert_eq!(judge(&whole, batch(P, 0, 0, 3)), Verdict::Next);
    assert_eq!(judge(&whole, batch(P, 0, 1, 3)), Verdict::Refused(Refusal::Gap { due: 0 }));
    let across = batch(P, 0, i32::MAX, 3);
    assert_eq!((across.last, across.records()), (1, 3));
    let table = table(&[batch(P, 0, i32::MAX - 3, 3), across]);
    assert_eq!(judge(&table, across), duplicate(10));
    assert_eq!(judge(&table, batch(P, 0, 2, 1)), Verdict::Next);
    assert_eq!(
        judge(&table, batch(P, 0, i32::MAX, 1)),
        Verdict::Refused(Refusal::Stale { due: 2 })
    );
}

#[test]
fn a_batch_on_its_way_counts_as_if_it_were_there() {
    let table = table(&[batch(P, 0, 0, 3)]);
    let before = batch(P, 0, 3, 3);
    assert_eq!(table.judge(&batch(P, 0, 6, 3), Some(&before)), Verdict::Next);
    assert_eq!(table.judge(&batch(P, 0, 0, 3), Some(&before)), duplicate(0));
    let gap = Verdict::Refused(Refusal::Gap { due: 6 });
    assert_eq!(table.judge(&batch(P, 0, 9, 3), Some(&before)), gap);
    let fenced = Verdict::Refused(Refusal::Fenced { epoch: 1 });
    assert_eq!(table.judge(&batch(P, 0, 3, 3), Some(&batch(P, 1, 0, 3))), fenced);
}

#[test]
fn a_key_is_for_one_batch() {
    let key = ProducerId::one_shot(b"order-17").get();
    let table = table(&[batch(key, 0, 0, 3)]);
    assert_eq!(judge(&table, batch(key, 0, 0, 3)), duplicate(0));
    let other = Verdict::Refused(Refusal::OtherRequest { records: 3 });
    assert_eq!(judge(&table, batch(key, 0, 0, 2)), other);
    assert_eq!(judge(&table, batch(key, 0, 3, 1)), other);
    let on_its_way = batch(key, 0, 0, 3);
    assert_eq!(Table::default().judge(&batch(key, 0, 0, 2), Some(&on_its_way)), other);
    assert_eq!(judge(&Table::default(), batch(key, 0, 0, 2)), Verdict::Next);
}

#[test]
fn who_was_applied_longest_ago_is_forgotten_first_and_keys_push_out_no_producer() {
    let mut table = Table::bounded(2, 2);
    let key = |number: u8| ProducerId::one_shot(&[number]).get();
    let mut offsets = (0..).map(Offset::new);
    for id in [1, 2, 1, 3] {
        let first = i32::from(id == 1 && table.knows(producer(1)));
        table.apply(&batch(id, 0, first, 1), offsets.next().unwrap());
    }
    for number in 0..3 {
        table.apply(&batch(key(number), 0, 0, 1), offsets.next().unwrap());
    }
    let known = |id: i64| table.knows(producer(id));
    assert_eq!([known(1), known(2), known(3)], [true, false, true]);
    assert_eq!([known(key(0)), known(key(1)), known(key(2))], [false, true, true]);
}

#[test]
fn a_table_that_cannot_be_is_not_restored() {
    let kept = Kept { first: 0, last: 0, base_offset: Offset::ZERO };
    let key = ProducerId::one_shot(b"k").get();
    for (producers, keys) in [
        (vec![(P, 0, vec![])], vec![]),
        (vec![(P, 0, vec![kept; REMEMBERED + 1])], vec![]),
        (vec![(-1, 0, vec![kept])], vec![]),
        (vec![(key, 0, vec![kept])], vec![]),
        (vec![], vec![(P, 1, Offset::ZERO)]),
    ] {
        assert!(Table::restored(Stored { producers, keys }).is_err());
    }
}

#[test]
fn a_full_table_is_a_small_checkpoint() {
    // There is one for each sealed segment of a log.
    const BYTES_MAX: usize = 512 << 10;
    let mut table = Table::default();
    let offset = Offset::new(u64::MAX / 2);
    for number in 0..i64::try_from(PRODUCERS_MAX).unwrap() {
        for first in 0..i32::try_from(REMEMBERED).unwrap() {
            table.apply(&batch(i64::MAX / 2 - number, i16::MAX, i32::MAX / 2 + first, 1), offset);
        }
    }
    for number in 0..KEYS_MAX {
        let key = ProducerId::one_shot(&number.to_be_bytes()).get();
        table.apply(&batch(key, 0, 0, i32::MAX / 2), offset);
    }
    let bytes = storage::codec::encode(&table.stored()).len();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    assert_eq!(Table::restored(table.stored()).unwrap().stored(), table.stored());
}

/// Everything that ever was, told plainly.
#[derive(Default)]
struct Model {
    log: Vec<(Sequenced, u64)>,
}

impl Model {
    /// The producers of a kind that are still known: the last that were applied.
    fn known(&self, one_shot: bool, most: usize) -> Vec<i64> {
        let mut known = Vec::new();
        for (batch, _) in self.log.iter().rev() {
            let is_shot = producer(batch.producer_id).is_one_shot();
            if is_shot == one_shot && !known.contains(&batch.producer_id) && known.len() < most {
                known.push(batch.producer_id);
            }
        }
        known
    }

    fn judge(&self, batch: &Sequenced, most: usize) -> Verdict {
        let one_shot = producer(batch.producer_id).is_one_shot();
        if !self.known(one_shot, most).contains(&batch.producer_id) {
            return Verdict::Next;
        }
        // Since it was last unknown: who comes back after it was forgotten is new.
        let mut own = Vec::new();
        for (end, (logged, offset)) in self.log.iter().enumerate() {
            if logged.producer_id == batch.producer_id {
                let before = Self { log: self.log[..end].to_vec() };
                if !before.known(one_shot, most).contains(&batch.producer_id) {
                    own.clear();
                }
                own.push((*logged, *offset));
            }
        }
        let (newest, _) = *own.last().unwrap();
        if one_shot {
            return if newest.records() == batch.records() {
                Verdict::Duplicate(Offset::new(own.last().unwrap().1))
            } else {
                Verdict::Refused(Refusal::OtherRequest { records: newest.records() })
            };
        }
        if batch.epoch < newest.epoch {
            return Verdict::Refused(Refusal::Fenced { epoch: newest.epoch });
        }
        let same = own.iter().rev().take_while(|(one, _)| one.epoch == newest.epoch).take(5);
        let found = same.into_iter().find(|(one, _)| one == batch);
        let due = if batch.epoch == newest.epoch { newest.next() } else { 0 };
        match found {
            Some((_, offset)) => Verdict::Duplicate(Offset::new(*offset)),
            None if batch.first == due => Verdict::Next,
            None if batch.epoch > newest.epoch => Verdict::Refused(Refusal::Gap { due }),
            None => {
                let distance = i64::from(batch.first) - i64::from(due);
                let is_ahead = (1..1 << 30).contains(&distance.rem_euclid(1 << 31));
                Verdict::Refused(if is_ahead {
                    Refusal::Gap { due }
                } else {
                    Refusal::Stale { due }
                })
            }
        }
    }
}

/// What a producer does next.
#[derive(Debug, Clone)]
enum Step {
    /// The next batch, of so many records.
    Next(u8, u8),
    /// One of its last batches again.
    Again(u8, u8),
    /// A new epoch.
    Bump(u8),
    /// Anything.
    Any(u8, i16, i32, u8),
    /// The table is stored and restored.
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let producer = 0..6_u8;
    prop_oneof![
        4 => (producer.clone(), 1..4_u8).prop_map(|(p, n)| Step::Next(p, n)),
        3 => (producer.clone(), 0..8_u8).prop_map(|(p, back)| Step::Again(p, back)),
        1 => producer.clone().prop_map(Step::Bump),
        2 => (producer, 0..3_i16, prop_oneof![0..9, i32::MAX - 4..=i32::MAX], 1..4_u8)
            .prop_map(|(p, epoch, first, n)| Step::Any(p, epoch, first, n)),
        1 => Just(Step::Restore),
    ]
}

/// Two of three producers are one of a few that count, every third is a key.
fn id(number: u8) -> i64 {
    if number.is_multiple_of(3) { ProducerId::one_shot(&[number]).get() } else { i64::from(number) }
}

proptest! {
    #[test]
    fn the_table_says_what_the_whole_history_says(steps in prop::collection::vec(step(), 1..60)) {
        const MOST: usize = 3;
        let mut table = Table::bounded(MOST, MOST);
        let mut model = Model::default();
        for step in steps {
            let last_of = |producer: u8| {
                let mut own = model.log.iter().rev().map(|(batch, _)| *batch);
                own.find(|batch| batch.producer_id == id(producer))
            };
            let wanted = match step {
                Step::Next(p, records) => {
                    // The first one begins near the end of the numbers.
                    let (epoch, first) =
                        last_of(p).map_or((0, i32::MAX - 5), |last| (last.epoch, last.next()));
                    batch(id(p), epoch, first, i32::from(records))
                }
                Step::Again(p, back) => {
                    let own = model.log.iter().rev().filter(|(one, _)| one.producer_id == id(p));
                    match own.map(|(one, _)| *one).nth(usize::from(back)) {
                        Some(again) => again,
                        None => continue,
                    }
                }
                Step::Bump(p) => {
                    let epoch = last_of(p).map_or(0, |last| last.epoch);
                    batch(id(p), epoch + 1, 0, 1)
                }
                Step::Any(p, epoch, first, records) => {
                    batch(id(p), epoch, first, i32::from(records))
                }
                Step::Restore => {
                    let restored = Table::restored(table.stored()).unwrap();
                    table = Table { bounds: table.bounds, ..restored };
                    continue;
                }
            };
            let verdict = table.judge(&wanted, None);
            prop_assert_eq!(verdict, model.judge(&wanted, MOST), "{:?}", wanted);
            if verdict == Verdict::Next {
                let offset = u64::try_from(model.log.len()).unwrap();
                table.apply(&wanted, Offset::new(offset));
                model.log.push((wanted, offset));
            }
        }
    }
}
