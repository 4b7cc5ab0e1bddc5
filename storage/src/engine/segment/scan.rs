//! Reads a segment that was open when the node stopped, frame by frame, and reports what it saw to
//! `tail`, which decides.

use super::extent::Extent;
use super::frame::{ALIGN_BYTES, BadHead, HEAD_BYTES, Head, Seed, in_memory, length};
use super::tail::{Seen, Stop};
use super::window::Window;
use crate::disk::DiskFile;
use crate::engine::Known;
use crate::{Header, Index, planted};
use std::io;

/// Read at once.
const SCAN_BYTES: usize = 1 << 20;

/// The whole frames of a file, and what follows them.
pub(super) struct Scan {
    pub(super) headers: Vec<Header>,
    pub(super) extent: Extent,
    /// Where the frames begin that no claim covers.
    pub(super) unclaimed_at: u64,
    pub(super) seen: Seen,
}

/// Scans a file whose entries begin at `first`; `known` is the caller's knowledge of it.
pub(super) fn scan(
    file: &dyn DiskFile,
    seed: Seed,
    first: Index,
    known: Known,
) -> io::Result<Scan> {
    let mut window = Window::new(file, SCAN_BYTES);
    let (mut headers, mut ends) = (Vec::new(), Vec::new());
    let mut extent = Extent::empty(first);
    let mut claim = known.durable;
    let mut next_offset = known.base_offset;
    let (stop, stopped_head) = loop {
        match next_frame(&mut window, seed, &extent)? {
            Ok(head) if head.header.base_offset != next_offset => break (Stop::Offset, Some(head)),
            Ok(head) => {
                claim = claim.max(head.durable);
                next_offset = head.header.next_offset();
                headers.push(head.header);
                extent.push(head.frame_bytes());
                ends.push(extent.end);
            }
            Err(stopped) => break stopped,
        }
    };
    claim = claim.max(stopped_head.and_then(|head| head.durable));
    let later = search(file, seed, extent.end + ALIGN_BYTES)?;
    claim = claim.max(later.and_then(|later| later.claim));
    let claimed = claim.map_or(0, |claim| claim.next().get().saturating_sub(first.get()));
    let unclaimed_at = match in_memory(claimed).checked_sub(1) {
        None => Extent::empty(first).end,
        Some(last) => ends.get(last).copied().unwrap_or(extent.end),
    };
    let observed = Seen { first, missing: extent.next, stop, later: later.is_some(), claim };
    Ok(Scan { headers, extent, unclaimed_at, seen: observed })
}

/// The frame at the end of the extent, or why there is none, with its head if that is valid.
fn next_frame(
    window: &mut Window<'_>,
    seed: Seed,
    extent: &Extent,
) -> io::Result<Result<Head, (Stop, Option<Head>)>> {
    let at = extent.end;
    let bytes = window.bytes(at, HEAD_BYTES)?;
    if bytes.len() < HEAD_BYTES {
        return Ok(Err((Stop::End, None)));
    }
    let head = match Head::decode(bytes, seed) {
        Ok(head) => head,
        Err(BadHead::Zero) => return Ok(Err((Stop::Zero, None))),
        Err(BadHead::Crc) => return Ok(Err((Stop::Head, None))),
    };
    if head.header.position.index != extent.next {
        return Ok(Err((Stop::Gap, Some(head))));
    }
    let len = in_memory(head.frame_bytes());
    let frame = window.bytes(at, len)?;
    if frame.len() < len {
        return Ok(Err((Stop::Length, Some(head))));
    }
    let payload_len = in_memory(u64::from(head.header.payload_len));
    let payload = frame.get(HEAD_BYTES..HEAD_BYTES + payload_len).unwrap_or_default();
    if !planted!(ChecksumUnchecked) && seed.checksum(payload) != head.payload_crc {
        return Ok(Err((Stop::Payload, Some(head))));
    }
    Ok(Ok(head))
}

/// Valid heads of this life somewhere behind the stop.
#[derive(Clone, Copy)]
struct Later {
    claim: Option<Index>,
}

/// Looks at every aligned place up to the end of the file; holes are skipped.
fn search(file: &dyn DiskFile, seed: Seed, from: u64) -> io::Result<Option<Later>> {
    let mut later: Option<Later> = None;
    let mut buffer = vec![0; SCAN_BYTES];
    let mut at = from;
    while let Some(data) = file.next_data(at)? {
        // The byte found may lie within a frame's head: go back to where that could begin.
        at = at.max(data.saturating_sub(length(HEAD_BYTES)).next_multiple_of(ALIGN_BYTES));
        let read = file.read_at(at, &mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let mut start = 0;
        while let Some(place) = bytes.get(start..start + HEAD_BYTES) {
            if Head::plausible(place)
                && let Ok(head) = Head::decode(place, seed)
            {
                let claim = later.and_then(|later| later.claim).max(head.durable);
                later = Some(Later { claim });
            }
            start += in_memory(ALIGN_BYTES);
        }
        if read < buffer.len() {
            break;
        }
        at += length(start);
    }
    Ok(later)
}
