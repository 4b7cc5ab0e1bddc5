//! One file's bytes: as the page cache has them, as the medium has them, and what lies between.

use super::chance::Chance;

/// What is written as a whole or torn.
pub(super) const SECTOR_BYTES: usize = 512;

/// A change of a file that a sync makes durable.
enum FileChange {
    SetLen(usize),
    Sector { number: usize, bytes: Vec<u8> },
}

impl FileChange {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::SetLen(len) => image.resize(*len, 0),
            Self::Sector { number, bytes } => write_clipped(image, number * SECTOR_BYTES, bytes),
        }
    }
}

fn write_clipped(image: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in image.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[derive(Default)]
pub(super) struct FileState {
    pub(super) volatile: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pending: Vec<FileChange>,
}

impl FileState {
    /// A file all of whose bytes are on the medium.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { volatile: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len();
        if end > self.volatile.len() {
            self.set_len(end);
        }
        write_clipped(&mut self.volatile, at, bytes);
        for number in at / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES {
            let start = number * SECTOR_BYTES;
            let stop = self.volatile.len().min(start + SECTOR_BYTES);
            let bytes = self.volatile.get(start..stop).unwrap_or_default().to_vec();
            self.pending.push(FileChange::Sector { number, bytes });
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.volatile.resize(len, 0);
        self.pending.push(FileChange::SetLen(len));
    }

    /// A failed sync forgets the sectors it should have written; lengths stay in the journal.
    pub(super) fn sync(&mut self, works: bool) {
        if works {
            for change in self.pending.drain(..) {
                change.apply(&mut self.durable);
            }
        } else {
            self.pending.retain(|change| matches!(change, FileChange::SetLen(_)));
        }
    }

    pub(super) fn after_power_cut(&self, chance: &mut Chance) -> Vec<u8> {
        let mut image = self.durable.clone();
        let lengths = self.pending.iter().filter(|c| matches!(c, FileChange::SetLen(_))).count();
        let mut lengths_kept = chance.below(lengths + 1);
        // Now and then nothing or everything reached the medium, the most common cases in life.
        let (all, none) = (chance.below(6) == 0, chance.below(6) == 0);
        for change in &self.pending {
            match change {
                FileChange::SetLen(_) if lengths_kept > 0 => {
                    lengths_kept -= 1;
                    change.apply(&mut image);
                }
                FileChange::SetLen(_) => {}
                FileChange::Sector { number, bytes } => {
                    let kept = match chance.below(4) {
                        _ if all => bytes.len(),
                        _ if none => 0,
                        0 => 0,
                        1 => chance.below(bytes.len() + 1),
                        _ => bytes.len(),
                    };
                    let bytes = bytes.get(..kept).unwrap_or(bytes);
                    write_clipped(&mut image, number * SECTOR_BYTES, bytes);
                }
            }
        }
        image
    }
}
