//! The batches of one partition that are under way, in their order: pure, with the time passed in.
//!
//! Each batch of an idempotent producer carries the sequence number of its first record. The partition
//! takes them in order only, each once, so several may be under way at a time: one that overtakes its
//! predecessor is refused for the gap, and one that is sent again answers with its first offset.
//!
//! | an attempt ends with | then the batch |
//! |---|---|
//! | appended | is done |
//! | not appended, a retry may help | is sent again |
//! | unknown, and it has a sequence | is sent again with the same one |
//! | unknown, and it has none | fails as unknown |
//! | a gap, others before it or still under way | is sent again |
//! | a gap, and no other explains it | begins a new epoch, with all behind it |
//! | any other refusal, or too late | fails; what is said is certain only if all attempts were |
//!
//! Invariants:
//! - what is sent again is sent alone, once it is the first; until then nothing new is sent: so
//!   batches stay in order, also without sequences if only one may be under way;
//! - the first batch of an epoch is sent alone: a partition that does not know a producer takes any
//!   sequence as its first.

use crate::client::{Backoff, Error};
use crate::error::WriteOutcome;
use std::collections::VecDeque;
use storage::batch::RecordBatch;
use tokio::time::Instant;

/// A producer's identity at a partition, and its next sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    id: i64,
    epoch: i16,
    next: i32,
    /// Whether a batch of this epoch was acknowledged.
    known: bool,
}

impl Session {
    /// A new producer.
    pub(super) const fn new(id: i64, epoch: i16) -> Self {
        Self { id, epoch, next: 0, known: false }
    }

    /// The sequence of a batch's first record. It counts records, and begins at 0 after `i32::MAX`.
    fn take(&mut self, records: u32) -> i32 {
        let sequence = self.next;
        let next = sequence.cast_unsigned().wrapping_add(records) & i32::MAX.cast_unsigned();
        self.next = next.cast_signed();
        sequence
    }
}

/// A batch in the window.
#[derive(Debug)]
struct Flight<T> {
    number: u64,
    batch: RecordBatch,
    /// Given up then.
    deadline: Instant,
    state: State,
    /// Whether an attempt may have worked.
    doubtful: bool,
    backoff: Backoff,
    /// What is handed back at the end.
    load: T,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// A request is under way.
    UnderWay,
    /// It failed, and is sent again then.
    Waiting(Instant, Error),
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The batch.
    pub(super) number: u64,
    /// Its bytes.
    pub(super) batch: RecordBatch,
    /// When it is too late.
    pub(super) deadline: Instant,
}

/// The end of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done<T> {
    /// The batch.
    pub(super) number: u64,
    /// Its base offset, or what is known of it with the last error.
    pub(super) result: Result<u64, (WriteOutcome, Error)>,
    /// What came with it.
    pub(super) load: T,
}

/// The batches under way.
#[derive(Debug)]
pub(super) struct Window<T> {
    size: usize,
    session: Option<Session>,
    flights: VecDeque<Flight<T>>,
    /// Whether a batch of this epoch was given up that may still come.
    doubtful: bool,
}

impl<T> Window<T> {
    /// For at most `size` batches at a time, which have sequences if there is a session.
    pub(super) const fn new(size: usize, session: Option<Session>) -> Self {
        Self { size, session, flights: VecDeque::new(), doubtful: false }
    }

    /// Whether a further batch may be sent now.
    pub(super) fn has_room(&self) -> bool {
        let size = if self.session.is_none_or(|session| session.known) { self.size } else { 1 };
        let waits = self.flights.iter().any(|flight| flight.state != State::UnderWay);
        self.flights.len() < size && !waits
    }

    /// Takes a batch, and gives the request to be made.
    pub(super) fn admit(
        &mut self,
        number: u64,
        batch: RecordBatch,
        deadline: Instant,
        load: T,
    ) -> Attempt {
        let batch = match &mut self.session {
            Some(session) => {
                let sequence = session.take(batch.record_count());
                batch.with_producer(session.id, session.epoch, sequence)
            }
            None => batch,
        };
        let attempt = Attempt { number, batch: batch.clone(), deadline };
        self.flights.push_back(Flight {
            number,
            batch,
            deadline,
            state: State::UnderWay,
            doubtful: false,
            backoff: Backoff::default(),
            load,
        });
        attempt
    }

    /// A batch that is to be sent again now.
    pub(super) fn again(&mut self, now: Instant) -> Option<Attempt> {
        let first = self.flights.front_mut()?;
        match first.state {
            State::Waiting(at, _) if at <= now && now < first.deadline => {}
            State::Waiting(..) | State::UnderWay => return None,
        }
        first.state = State::UnderWay;
        let (number, deadline) = (first.number, first.deadline);
        Some(Attempt { number, batch: first.batch.clone(), deadline })
    }

    /// When [`Window::again`] or [`Window::late`] will have something.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = self.flights.front()?;
        match first.state {
            State::Waiting(at, _) => Some(at.min(first.deadline)),
            State::UnderWay => None,
        }
    }

    /// A batch that waits and is too late.
    pub(super) fn late(&mut self, now: Instant) -> Option<Done<T>> {
        let first = self.flights.front()?;
        match &first.state {
            State::Waiting(_, error) if first.deadline <= now => {
                let error = error.clone();
                self.fail(0, error)
            }
            State::Waiting(..) | State::UnderWay => None,
        }
    }

    /// Takes the end of a request.
    pub(super) fn answered(
        &mut self,
        number: u64,
        answer: Result<u64, Error>,
        now: Instant,
    ) -> Option<Done<T>> {
        let at = self.flights.iter().position(|flight| flight.number == number)?;
        let error = match answer {
            Ok(base_offset) => {
                if let Some(session) = &mut self.session {
                    session.known = true;
                }
                let Flight { number, load, .. } = self.flights.remove(at)?;
                return Some(Done { number, result: Ok(base_offset), load });
            }
            Err(error) => error,
        };
        let is_gap = error.expected_sequence().is_some();
        let flight = self.flights.get_mut(at)?;
        if is_gap && self.session.is_some() {
            flight.state = State::Waiting(now + flight.backoff.next(None), error.clone());
            let alone = self.flights.iter().all(|flight| flight.state != State::UnderWay);
            return if at == 0 && alone { self.begin_epoch(error, now) } else { None };
        }
        flight.doubtful |= error.outcome() == WriteOutcome::Unknown;
        if error.worth_repeating() || (self.session.is_some() && error.may_have_worked()) {
            let pause = flight.backoff.next(error.retry_after());
            flight.state = State::Waiting(now + pause, error);
            return None;
        }
        self.fail(at, error)
    }

    /// The first batch met a gap: a batch before it failed. All that are left get new sequences.
    fn begin_epoch(&mut self, error: Error, now: Instant) -> Option<Done<T>> {
        let session = self.session.as_mut()?;
        let may_still_come = self.doubtful && self.flights.front()?.doubtful;
        let (false, Some(epoch)) = (may_still_come, session.epoch.checked_add(1)) else {
            return self.fail(0, error);
        };
        // Refused by the partition for the new epoch: whatever of the old one is still on its way.
        *session = Session::new(session.id, epoch);
        self.doubtful = false;
        for flight in &mut self.flights {
            let sequence = session.take(flight.batch.record_count());
            let batch = flight.batch.clone();
            flight.batch = batch.with_producer(session.id, epoch, sequence);
            flight.doubtful = false;
            flight.state = State::Waiting(now, error.clone());
        }
        None
    }

    fn fail(&mut self, at: usize, error: Error) -> Option<Done<T>> {
        let Flight { number, load, doubtful, .. } = self.flights.remove(at)?;
        let outcome = if doubtful { WriteOutcome::Unknown } else { error.outcome() };
        self.doubtful |= outcome == WriteOutcome::Unknown;
        Some(Done { number, result: Err((outcome, error)), load })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ErrorBody;
    use std::time::Duration;
    use storage::batch::{BatchBuilder, Compression};

    const SIZE: usize = 3;

    struct Flying {
        window: Window<()>,
        now: Instant,
    }

    fn refused(retriable: bool, outcome: WriteOutcome, expected: Option<i32>) -> Error {
        let error = ErrorBody {
            error_code: 1,
            message: "m".to_owned(),
            retriable,
            outcome: Some(outcome),
            log_start_offset: None,
            high_watermark: None,
            expected_sequence: expected,
        };
        Error::Refused { status: 500, error, retry_after: None }
    }

    fn again() -> Error {
        refused(true, WriteOutcome::NotAppended, None)
    }

    fn lost() -> Error {
        Error::Lost("cut".to_owned())
    }

    fn gap() -> Error {
        refused(false, WriteOutcome::NotAppended, Some(0))
    }

    fn never() -> Error {
        refused(false, WriteOutcome::NotAppended, None)
    }

    impl Flying {
        fn new(session: Option<Session>) -> Self {
            Self { window: Window::new(SIZE, session), now: Instant::now() }
        }

        /// With a session that the partition knows.
        fn known() -> Self {
            let session = Session { known: true, ..Session::new(7, 0) };
            Self::new(Some(session))
        }

        /// A batch of so many records; gives its producer fields.
        fn admit(&mut self, number: u64, records: u32) -> (i64, i16, i32) {
            assert!(self.window.has_room());
            let mut builder = BatchBuilder::new();
            for _ in 0..records {
                builder.push(0, None, Some(b"v"), []);
            }
            let batch = builder.finish(Compression::None);
            let deadline = self.now + Duration::from_mins(2);
            fields(&self.window.admit(number, batch, deadline, ()))
        }

        fn answer(&mut self, number: u64, answer: Result<u64, Error>) -> Option<Told> {
            self.window.answered(number, answer, self.now).map(|done| done.result)
        }

        /// What is sent again, once its time has come.
        fn again(&mut self) -> Option<(u64, i16, i32)> {
            self.now += Duration::from_secs(1);
            let attempt = self.window.again(self.now)?;
            let (_, epoch, sequence) = fields(&attempt);
            Some((attempt.number, epoch, sequence))
        }
    }

    type Told = Result<u64, (WriteOutcome, Error)>;

    fn fields(attempt: &Attempt) -> (i64, i16, i32) {
        let batch = &attempt.batch;
        (batch.producer_id(), batch.producer_epoch(), batch.base_sequence())
    }

    #[test]
    fn sequences_count_records_and_several_batches_are_under_way() {
        let mut flying = Flying::known();
        assert_eq!(flying.admit(0, 2), (7, 0, 0));
        assert_eq!(flying.admit(1, 3), (7, 0, 2));
        assert_eq!(flying.admit(2, 1), (7, 0, 5));
        assert!(!flying.window.has_room());
        assert_eq!(flying.answer(1, Ok(12)), Some(Ok(12)));
        assert!(flying.window.has_room());
    }

    #[test]
    fn the_first_batch_of_an_epoch_is_sent_alone() {
        let mut flying = Flying::new(Some(Session::new(7, 0)));
        flying.admit(0, 1);
        assert!(!flying.window.has_room());
        flying.answer(0, Ok(0));
        flying.admit(1, 1);
        assert!(flying.window.has_room());
    }

    #[test]
    fn what_failed_is_sent_again_alone_in_order_and_with_its_sequence() {
        let mut flying = Flying::known();
        for number in 0..3 {
            flying.admit(number, 2);
        }
        assert_eq!(flying.answer(1, Err(lost())), None);
        assert_eq!(flying.again(), None, "one before it is under way");
        assert_eq!(flying.answer(0, Err(again())), None);
        assert_eq!(flying.answer(2, Err(gap())), None);
        assert!(!flying.window.has_room());
        for number in 0..3 {
            let sequence = i32::try_from(number).unwrap() * 2;
            assert_eq!(flying.again(), Some((number, 0, sequence)));
            assert_eq!(flying.again(), None, "it is under way");
            assert_eq!(flying.answer(number, Ok(number)), Some(Ok(number)));
        }
        assert!(flying.window.has_room());
    }

    #[test]
    fn an_unknown_outcome_without_a_sequence_is_told() {
        let mut flying = Flying::new(None);
        assert_eq!(flying.admit(0, 1), (-1, -1, -1));
        assert_eq!(flying.answer(0, Err(again())), None);
        assert!(flying.again().is_some());
        let told = flying.answer(0, Err(lost()));
        assert_eq!(told, Some(Err((WriteOutcome::Unknown, lost()))));
    }

    #[test]
    fn a_certainty_after_a_doubt_is_none() {
        let mut flying = Flying::known();
        flying.admit(0, 1);
        flying.answer(0, Err(lost()));
        flying.again().unwrap();
        let told = flying.answer(0, Err(never()));
        assert_eq!(told, Some(Err((WriteOutcome::Unknown, never()))));
    }

    #[test]
    fn after_a_batch_that_failed_the_others_begin_an_epoch() {
        let mut flying = Flying::known();
        for number in 0..3 {
            flying.admit(number, 2);
        }
        let told = flying.answer(0, Err(never()));
        assert_eq!(told, Some(Err((WriteOutcome::NotAppended, never()))));
        assert_eq!(flying.answer(1, Err(gap())), None);
        assert_eq!(flying.answer(2, Err(gap())), None);
        assert_eq!(flying.again(), Some((1, 0, 2)), "with the sequence it had");
        assert_eq!(flying.answer(1, Err(gap())), None, "now nothing else explains the gap");
        assert_eq!(flying.again(), Some((1, 1, 0)));
        flying.answer(1, Ok(10));
        assert_eq!(flying.again(), Some((2, 1, 2)));
        flying.answer(2, Ok(12));
        assert_eq!(flying.admit(3, 1), (7, 1, 4));
    }

    #[test]
    fn where_two_batches_may_still_come_a_gap_is_no_certainty() {
        let mut flying = Flying::known();
        flying.admit(0, 1);
        flying.admit(1, 1);
        flying.answer(0, Err(lost()));
        flying.answer(1, Err(lost()));
        flying.now += Duration::from_mins(3);
        let late = flying.window.late(flying.now).unwrap();
        assert_eq!(late.result, Err((WriteOutcome::Unknown, lost())));
        flying.now -= Duration::from_mins(2);
        assert_eq!(flying.again(), Some((1, 0, 1)));
        let told = flying.answer(1, Err(gap()));
        assert_eq!(told, Some(Err((WriteOutcome::Unknown, gap()))));
    }

    #[test]
    fn what_waits_too_long_fails_with_its_last_error() {
        let mut flying = Flying::known();
        flying.admit(0, 1);
        flying.answer(0, Err(again()));
        assert!(flying.window.late(flying.now).is_none());
        flying.now += Duration::from_mins(2);
        assert!(flying.window.due().unwrap() <= flying.now);
        assert!(flying.window.again(flying.now).is_none());
        let late = flying.window.late(flying.now).unwrap();
        assert_eq!(late.result, Err((WriteOutcome::NotAppended, again())));
    }

    #[test]
    fn a_sequence_begins_anew_after_the_largest() {
        let mut session = Session { next: i32::MAX - 1, ..Session::new(7, 0) };
        assert_eq!([session.take(2), session.take(3), session.take(1)], [i32::MAX - 1, 0, 3]);
    }
}
