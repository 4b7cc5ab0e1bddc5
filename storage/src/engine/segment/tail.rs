//! What to do with the end of a segment that was open when the node stopped. Pure.
//!
//! A *claim* is an index of which somebody wrote down that everything up to it was durable: the caller
//! ([`Known::durable`](crate::engine::Known)), or a valid frame, before or after the bad one. *Later
//! frames* are valid heads of this life of the file behind the first place that is no valid frame.
//!
//! | first place that is no valid frame | later frames | claim ≥ its index | verdict |
//! |---|---|---|---|
//! | end of file, zeros, or no head of this life | none | no | whole |
//! | end of file, zeros, or no head of this life | some | no | cut: unordered writeback |
//! | head valid, payload torn | any | no | cut |
//! | head valid, longer than the file | any | no | cut |
//! | head valid, not the next index | any | no | cut |
//! | any of them | any | yes | refuse: what was durable is gone or damaged |
//! | frame whole and of the next index, not of the next offset | any | any | refuse: no crash writes that |
//!
//! | header of the file | claim ≥ first index | verdict |
//! |---|---|---|
//! | valid | | read the frames |
//! | absent, the whole file is zeros | no | newborn: write the header |
//! | absent, the whole file is zeros | yes | refuse |
//! | damaged | | refuse: it was durable before the file had its name |

use crate::Index;

/// What the first place that is no valid frame looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The file ends here.
    End,
    /// Zeros: never written.
    Zero,
    /// No head of this life of the file: torn, damaged or older.
    Head,
    /// The payload's checksum does not match.
    Payload,
    /// The frame is longer than the rest of the file.
    Length,
    /// A valid frame, but not of the next index.
    Gap,
    /// A whole frame of the next index whose records do not begin where the last ones end: offsets
    /// would be there twice, or nowhere.
    Offset,
}

/// What a scan saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The segment's first index.
    pub(super) first: Index,
    /// The index of the entry that should stand where the scan stopped.
    pub(super) missing: Index,
    pub(super) stop: Stop,
    /// Whether valid heads of this life follow.
    pub(super) later: bool,
    /// The highest claim.
    pub(super) claim: Option<Index>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing of this life follows the last whole frame.
    Whole,
    /// Remove what follows this entry (everything, if `None`).
    Cut { after: Option<Index> },
    /// Something durable is damaged.
    Refuse { why: String },
}

impl Seen {
    pub(super) fn decide(&self) -> Verdict {
        if let Some(claim) = self.claim.filter(|claim| *claim >= self.missing) {
            let (what, missing) = (self.stop.describe(), self.missing);
            let why = format!("{what} where entry {missing} was durable (up to {claim} was)");
            return Verdict::Refuse { why };
        }
        match self.stop {
            Stop::Offset => {
                let why = format!("{} at entry {}", self.stop.describe(), self.missing);
                Verdict::Refuse { why }
            }
            Stop::End | Stop::Zero | Stop::Head if !self.later => Verdict::Whole,
            Stop::End | Stop::Zero | Stop::Head | Stop::Payload | Stop::Length | Stop::Gap => {
                let after = self.missing.previous().filter(|last| *last >= self.first);
                Verdict::Cut { after }
            }
        }
    }
}

impl Stop {
    fn describe(self) -> &'static str {
        match self {
            Self::End => "the file ends",
            Self::Zero => "zeros",
            Self::Head => "crc (head)",
            Self::Payload => "crc (payload)",
            Self::Length => "a frame longer than the file",
            Self::Gap => "a frame of another index",
            Self::Offset => "a frame of another base offset",
        }
    }
}

/// What stands at the beginning of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The whole file is zeros.
    Blank,
    /// No valid header, and why.
    Damaged(String),
}

/// What to do with a file that has no valid header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Birth {
    /// Write the header.
    Newborn,
    /// Something durable is damaged.
    Refuse { why: String },
}

impl Beginning {
    pub(super) fn decide(self, first: Index, claim: Option<Index>) -> Birth {
        match (self, claim.filter(|claim| *claim >= first)) {
            (Self::Damaged(why), _) => Birth::Refuse { why },
            (Self::Blank, None) => Birth::Newborn,
            (Self::Blank, Some(claim)) => Birth::Refuse {
                why: format!("empty where entries {first} to {claim} were durable"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(value: u64) -> Index {
        Index::new(value)
    }

    /// A scan of a segment from 10 that stopped where 15 should stand.
    fn seen(stop: Stop, later: bool, claim: Option<u64>) -> Verdict {
        let claim = claim.map(index);
        Seen { first: index(10), missing: index(15), stop, later, claim }.decide()
    }

    const NOTHING_HERE: [Stop; 3] = [Stop::End, Stop::Zero, Stop::Head];
    const BAD_FRAME: [Stop; 3] = [Stop::Payload, Stop::Length, Stop::Gap];

    #[test]
    fn nothing_after_the_last_frame_is_whole() {
        for stop in NOTHING_HERE {
            assert_eq!(seen(stop, false, None), Verdict::Whole);
            assert_eq!(seen(stop, false, Some(14)), Verdict::Whole);
        }
    }

    #[test]
    fn later_frames_behind_a_hole_are_cut() {
        for stop in NOTHING_HERE {
            assert_eq!(seen(stop, true, Some(14)), Verdict::Cut { after: Some(index(14)) });
        }
    }

    #[test]
    fn a_torn_frame_is_cut() {
        for (stop, later) in BAD_FRAME.into_iter().flat_map(|stop| [(stop, false), (stop, true)]) {
            assert_eq!(seen(stop, later, None), Verdict::Cut { after: Some(index(14)) });
        }
    }

    #[test]
    fn a_frame_of_another_base_offset_is_refused_whatever_is_claimed() {
        for (later, claim) in [(false, None), (true, None), (false, Some(14)), (true, Some(99))] {
            let Verdict::Refuse { why } = seen(Stop::Offset, later, claim) else {
                panic!("{later} {claim:?} was not refused")
            };
            assert!(why.contains("base offset") && why.contains("entry 15"), "{why}");
        }
    }

    #[test]
    fn a_torn_first_frame_leaves_an_empty_segment() {
        let (first, stop) = (index(10), Stop::Payload);
        let seen = Seen { first, missing: first, stop, later: false, claim: Some(index(9)) };
        assert_eq!(seen.decide(), Verdict::Cut { after: None });
    }

    #[test]
    fn whatever_is_bad_at_or_below_a_claim_is_refused() {
        for stop in NOTHING_HERE.into_iter().chain(BAD_FRAME) {
            for (later, claim) in [(false, 15), (true, 15), (false, 99), (true, 99)] {
                let Verdict::Refuse { why } = seen(stop, later, Some(claim)) else {
                    panic!("{stop:?} {later} {claim} was not refused")
                };
                assert!(why.contains("entry 15"), "{why}");
            }
        }
    }

    #[test]
    fn a_blank_file_without_a_claim_is_a_newborn() {
        assert_eq!(Beginning::Blank.decide(index(10), None), Birth::Newborn);
        assert_eq!(Beginning::Blank.decide(index(10), Some(index(9))), Birth::Newborn);
    }

    #[test]
    fn a_blank_file_that_held_durable_entries_is_refused() {
        let birth = Beginning::Blank.decide(index(10), Some(index(10)));
        assert!(matches!(birth, Birth::Refuse { why } if why.contains("10")));
    }

    #[test]
    fn a_damaged_header_is_refused() {
        let birth = Beginning::Damaged("crc".into()).decide(index(10), None);
        assert_eq!(birth, Birth::Refuse { why: "crc".into() });
    }
}
