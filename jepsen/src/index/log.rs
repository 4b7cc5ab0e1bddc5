//! The log of one key as all clients together saw it: the version order of everything that must exist.
//!
//! A slot is an offset. Its first value is kept in a page of 64; others that somebody saw there are rare and
//! kept aside. A value *stands* at an offset if a poll of any outcome showed it there, or a send that must
//! have committed was told so. Slots where something stands, in order, have dense *ranks*: offsets with
//! the gaps left out, since gaps are legal.

use std::collections::{BTreeMap, HashMap};

use super::OpId;
use crate::history::Outcome;

/// Slots per page: one word of bits.
const PAGE_SLOTS: u64 = 64;

/// Why a value stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Some poll showed it.
    Polled,
    /// A poll that ended `ok` showed it; the event of its end.
    Read(u32),
    /// An acknowledged send was told so.
    Acked,
    /// A send that ended `info`, and must have committed, was told so.
    Proved,
    /// A replica's disk has it; no evidence for the order of what clients saw.
    OnDisk,
}

struct Page {
    number: u64,
    /// The rank of its first standing slot.
    rank: u64,
    /// Slots with a first value.
    filled: u64,
    /// Slots whose first value a poll showed.
    polled: u64,
    /// Slots whose first value an `ok` poll showed.
    read: u64,
    /// Slots whose first value a send was told.
    sent: u64,
    /// Slots where only another than the first value stands.
    other: u64,
    crc_known: u64,
    values: [u64; 64],
    crcs: [u32; 64],
    /// The end of the first `ok` poll that showed it.
    seen: [u32; 64],
}

/// A value that stands beside the first one.
#[derive(Clone, Copy)]
struct Other {
    value: u64,
    /// Why, in the strongest words; `None` if only a disk has it.
    why: Option<Why>,
    /// The end of the first `ok` poll that showed it.
    read: Option<u32>,
}

/// Why another value stands; a poll's word weighs more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Told,
    Shown,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note {
    /// The operation that sent it; the last to end, if it was tried anew.
    pub writer: Option<OpId>,
    /// Whether an operation that ended `ok` read it.
    pub read_ok: bool,
    /// Where it stands; one of several places if it is a duplicate.
    pub at: Option<u64>,
    outcomes: u8,
}

/// A value that stands at several offsets.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// The value.
    pub value: u64,
    /// Where, ascending.
    pub offsets: Vec<u64>,
}

/// One standing slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Its offset.
    pub offset: u64,
    /// Its rank.
    pub rank: u64,
    /// The value that stands there; the first seen, if there are several.
    pub value: u64,
    /// Whether any poll showed that value there.
    pub polled: bool,
}

/// What came of one more sighting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// It shows the first value.
    AsTheLog,
    /// It shows the first value in bytes that others did not see.
    OtherBytes,
    /// It shows another value.
    Odd,
}

impl Sighting {
    pub(super) fn is_as_the_log(self) -> bool {
        self != Sighting::Odd
    }

    pub(super) fn is_other_bytes(self) -> bool {
        self == Sighting::OtherBytes
    }
}

/// The log of one key.
#[derive(Default)]
pub struct Log {
    pages: Vec<Page>,
    places: BTreeMap<u64, usize>,
    hint: usize,
    others: BTreeMap<u64, Vec<Other>>,
    notes: HashMap<u64, Note>,
    duplicates: BTreeMap<u64, Duplicate>,
    suspects: Vec<u64>,
    standing: u64,
}

impl Page {
    fn new(number: u64) -> Page {
        Page {
            number,
            rank: 0,
            filled: 0,
            polled: 0,
            read: 0,
            sent: 0,
            other: 0,
            crc_known: 0,
            values: [0; 64],
            crcs: [0; 64],
            seen: [0; 64],
        }
    }

    fn standing(&self) -> u64 {
        self.polled | self.sent | self.other
    }
}

/// Where an offset lies in its page.
fn slot_of(offset: u64) -> (usize, u64) {
    let slot = offset % PAGE_SLOTS;
    (usize::try_from(slot).expect("below 64"), 1 << slot)
}

fn bit_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 1,
        Outcome::Info => 2,
        Outcome::Fail => 4,
    }
}

impl Note {
    /// Whether every attempt to write it ended `fail`, so that nobody may ever see it.
    pub fn aborted(&self) -> bool {
        self.outcomes == bit_of(Outcome::Fail)
    }

    /// Whether some attempt to write it was acknowledged.
    pub fn acked(&self) -> bool {
        self.outcomes & bit_of(Outcome::Ok) != 0
    }
}

impl Log {
    fn page_mut(&mut self, offset: u64) -> &mut Page {
        let number = offset / PAGE_SLOTS;
        if self.pages.get(self.hint).is_none_or(|page| page.number != number) {
            self.hint = if let Some(place) = self.places.get(&number) {
                *place
            } else {
                self.pages.push(Page::new(number));
                self.places.insert(number, self.pages.len() - 1);
                self.pages.len() - 1
            };
        }
        self.pages.get_mut(self.hint).expect("the hint was just set to a page")
    }

    /// Notes that `value` was seen at `offset`.
    pub(super) fn sight(
        &mut self,
        offset: u64,
        value: u64,
        crc: Option<u32>,
        evidence: Evidence,
    ) -> Sighting {
        let (slot, bit) = slot_of(offset);
        let page = self.page_mut(offset);
        if page.filled & bit == 0 {
            page.filled |= bit;
            *page.values.get_mut(slot).expect("below 64") = value;
        } else if page.values.get(slot) != Some(&value) {
            self.sight_other(offset, value, evidence);
            return Sighting::Odd;
        }
        match evidence {
            Evidence::Polled => page.polled |= bit,
            Evidence::Read(event) => {
                page.polled |= bit;
                if page.read & bit == 0 {
                    page.read |= bit;
                    *page.seen.get_mut(slot).expect("below 64") = event;
                }
            }
            Evidence::Acked | Evidence::Proved => page.sent |= bit,
            Evidence::OnDisk => {}
        }
        let Some(crc) = crc else { return Sighting::AsTheLog };
        let known = page.crcs.get_mut(slot).expect("below 64");
        if page.crc_known & bit == 0 {
            page.crc_known |= bit;
            *known = crc;
        }
        if *known == crc { Sighting::AsTheLog } else { Sighting::OtherBytes }
    }

    fn sight_other(&mut self, offset: u64, value: u64, evidence: Evidence) {
        let others = self.others.entry(offset).or_default();
        let place = others.iter().position(|other| other.value == value).unwrap_or(others.len());
        if place == others.len() {
            others.push(Other { value, why: None, read: None });
        }
        let other = others.get_mut(place).expect("pushed if it was missing");
        if let Evidence::Read(event) = evidence {
            other.read.get_or_insert(event);
        }
        let why = match evidence {
            Evidence::Read(_) | Evidence::Polled => Some(Why::Shown),
            Evidence::Acked | Evidence::Proved => Some(Why::Told),
            Evidence::OnDisk => None,
        };
        other.why = other.why.max(why);
    }

    /// Notes who sent a value and what came of it.
    pub(super) fn written(&mut self, value: u64, writer: OpId, outcome: Outcome) {
        let note = self.notes.entry(value).or_default();
        note.writer = Some(writer);
        note.outcomes |= bit_of(outcome);
    }

    /// Tells the notes which values were read. All sightings by polls must have been made.
    pub(super) fn settle_reads(&mut self) {
        for page in &self.pages {
            let mut left = page.read;
            while left != 0 {
                let slot = usize::try_from(left.trailing_zeros()).expect("below 64");
                left &= left - 1;
                if let Some(value) = page.values.get(slot) {
                    self.notes.entry(*value).or_default().read_ok = true;
                }
            }
        }
        for other in self.others.values().flatten().filter(|other| other.read.is_some()) {
            self.notes.entry(other.value).or_default().read_ok = true;
        }
    }

    /// Gives every standing slot its rank and every value its place. All sightings must have been made.
    pub(super) fn settle(&mut self) {
        self.pages.sort_by_key(|page| page.number);
        self.places.clear();
        for (offset, others) in &self.others {
            let (_, bit) = slot_of(*offset);
            if others.iter().any(|other| other.why.is_some()) {
                self.suspects.push(*offset);
                let place = self.pages.partition_point(|page| page.number < offset / PAGE_SLOTS);
                let page =
                    self.pages.get_mut(place).expect("a slot has a first value before others");
                if (page.polled | page.sent) & bit == 0 {
                    page.other |= bit;
                }
            }
        }
        for page in &mut self.pages {
            page.rank = self.standing;
            self.standing += u64::from(page.standing().count_ones());
        }
        let mut places = Vec::new();
        for page in &self.pages {
            let mut left = page.standing();
            while left != 0 {
                let offset = page.number * PAGE_SLOTS + u64::from(left.trailing_zeros());
                left &= left - 1;
                self.standing_at(page, offset, &mut places);
                for value in &places {
                    let note = self.notes.entry(*value).or_default();
                    match note.at {
                        None => note.at = Some(offset),
                        Some(first) => {
                            let duplicate = self.duplicates.entry(*value).or_insert_with(|| {
                                Duplicate { value: *value, offsets: vec![first] }
                            });
                            duplicate.offsets.push(offset);
                        }
                    }
                }
                places.clear();
            }
        }
        self.suspects.extend(self.duplicates.values().flat_map(|duplicate| &duplicate.offsets));
        self.suspects.sort_unstable();
        self.suspects.dedup();
    }

    /// Every value that stands at an offset of this page.
    fn standing_at(&self, page: &Page, offset: u64, into: &mut Vec<u64>) {
        let (slot, bit) = slot_of(offset);
        if (page.polled | page.sent) & bit != 0 {
            into.extend(page.values.get(slot));
        }
        if let Some(others) = self.others.get(&offset) {
            into.extend(others.iter().filter(|other| other.why.is_some()).map(|other| other.value));
        }
    }

    fn page(&self, offset: u64) -> Option<&Page> {
        let number = offset / PAGE_SLOTS;
        // A log without great gaps has its pages where their numbers say, counted from the first.
        let first = self.pages.first()?.number;
        let guess = usize::try_from(number.checked_sub(first)?).ok()?;
        if let Some(page) = self.pages.get(guess).filter(|page| page.number == number) {
            return Some(page);
        }
        let place = self.pages.binary_search_by_key(&number, |page| page.number).ok()?;
        self.pages.get(place)
    }

    /// The first value that was seen at an offset, by anyone.
    pub fn primary(&self, offset: u64) -> Option<u64> {
        let (slot, bit) = slot_of(offset);
        let page = self.page(offset)?;
        if page.filled & bit == 0 {
            return None;
        }
        page.values.get(slot).copied()
    }

    /// The value that stands at an offset; the first, if there are several.
    pub fn value(&self, offset: u64) -> Option<u64> {
        let (slot, bit) = slot_of(offset);
        let page = self.page(offset)?;
        if (page.polled | page.sent) & bit != 0 {
            return page.values.get(slot).copied();
        }
        let others = self.others.get(&offset)?;
        others.iter().find(|other| other.why.is_some()).map(|other| other.value)
    }

    /// All values that stand at an offset.
    pub fn values(&self, offset: u64) -> Vec<u64> {
        let mut values = Vec::new();
        if let Some(page) = self.page(offset) {
            self.standing_at(page, offset, &mut values);
        }
        values
    }

    /// Values other than the first that some poll showed: offset and value.
    pub fn odd_reads(&self) -> impl Iterator<Item = (u64, u64)> {
        self.others.iter().flat_map(|(offset, others)| {
            let polled = others.iter().filter(|other| other.why == Some(Why::Shown));
            polled.map(|other| (*offset, other.value))
        })
    }

    /// CRC-32C of the bytes at an offset, if somebody told.
    pub fn crc(&self, offset: u64) -> Option<u32> {
        let (slot, bit) = slot_of(offset);
        let page = self.page(offset)?;
        if page.crc_known & bit == 0 {
            return None;
        }
        page.crcs.get(slot).copied()
    }

    /// The event that ended the first `ok` poll which showed `value` at an offset.
    pub fn seen(&self, offset: u64, value: u64) -> Option<u32> {
        let (slot, bit) = slot_of(offset);
        let page = self.page(offset)?;
        if page.values.get(slot) == Some(&value) {
            return (page.read & bit != 0).then(|| page.seen.get(slot).copied()).flatten();
        }
        self.others.get(&offset)?.iter().find(|other| other.value == value)?.read
    }

    /// How many standing slots lie below an offset.
    pub fn rank(&self, offset: u64) -> u64 {
        let (_, bit) = slot_of(offset);
        if let Some(page) = self.page(offset) {
            return page.rank + u64::from((page.standing() & (bit - 1)).count_ones());
        }
        let after = self.pages.partition_point(|page| page.number < offset / PAGE_SLOTS);
        self.pages.get(after).map_or(self.standing, |page| page.rank)
    }

    /// The rank at which a value stands as the first of its slot; the last, if there are several.
    pub fn position(&self, value: u64) -> Option<u64> {
        let first = |offset: &u64| self.value(*offset) == Some(value);
        let offset = match self.duplicates.get(&value) {
            Some(duplicate) => duplicate.offsets.iter().rev().copied().find(first)?,
            None => self.note(value)?.at.filter(first)?,
        };
        Some(self.rank(offset))
    }

    /// The slot of a rank.
    pub fn nth(&self, rank: u64) -> Option<Slot> {
        let after = self.pages.partition_point(|page| page.rank <= rank);
        let page = self.pages.get(after.checked_sub(1)?)?;
        self.slots_of(page).find(|slot| slot.rank == rank)
    }

    /// What is known of a value.
    pub fn note(&self, value: u64) -> Option<&Note> {
        self.notes.get(&value)
    }

    /// All standing slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.pages.iter().flat_map(|page| self.slots_of(page))
    }

    fn slots_of<'a>(&'a self, page: &'a Page) -> impl Iterator<Item = Slot> + 'a {
        let mut left = page.standing();
        let mut rank = page.rank;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let offset = page.number * PAGE_SLOTS + u64::from(left.trailing_zeros());
            left &= left - 1;
            let (slot, bit) = slot_of(offset);
            let first = (page.polled | page.sent) & bit != 0;
            let value = if first { page.values.get(slot).copied() } else { self.value(offset) };
            rank += 1;
            Some(Slot {
                offset,
                rank: rank - 1,
                value: value.expect("something stands in a standing slot"),
                polled: page.polled & bit != 0,
            })
        })
    }

    /// Offsets at which several values stand.
    pub fn conflicts(&self) -> impl Iterator<Item = (u64, Vec<u64>)> {
        self.others
            .keys()
            .map(|offset| (*offset, self.values(*offset)))
            .filter(|(_, values)| values.len() > 1)
    }

    /// Values that stand at several offsets.
    pub fn duplicates(&self) -> impl Iterator<Item = &Duplicate> {
        self.duplicates.values()
    }

    /// The duplicate of a value, if it is one.
    pub fn duplicate(&self, value: u64) -> Option<&Duplicate> {
        self.duplicates.get(&value)
    }

    /// Whether some slot from `first` to `last` conflicts or holds a duplicate, so that a run over it must be
    /// looked at record by record.
    pub fn is_suspect(&self, first: u64, last: u64) -> bool {
        let after = self.suspects.partition_point(|offset| *offset < first);
        self.suspects.get(after).is_some_and(|offset| *offset <= last)
    }

    /// Whether an offset conflicts or holds a duplicate.
    pub fn any_suspect(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// How many standing slots there are.
    pub fn len(&self) -> u64 {
        self.standing
    }

    /// Whether nothing stands in this log.
    pub fn is_empty(&self) -> bool {
        self.standing == 0
    }
}
