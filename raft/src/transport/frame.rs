//! The frame: what one write carries, any number of messages under one checksum.
//!
//! ```text
//! frame    len u32 │ crc32c u32 │ message … message        len and crc cover the messages
//! message  class u8 │ kind u8 │ group u64 │ correlation u64 │ len u32 │ body
//! ```
//!
//! All numbers are little endian. An empty frame is a pulse: the peer lives, its handlers still work.
//! Invariants: a body ≤ [`MESSAGE_BYTES_MAX`]; a length is checked before memory is taken for it, and
//! a length that is only claimed takes at most [`CLAIM_BYTES_MAX`] more than what has arrived.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use storage::GroupId;

/// The largest body of one message; a full replication batch is far smaller.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What precedes a frame's messages.
pub(super) const FRAME_HEADER_BYTES: usize = 8;
/// What precedes a message's body.
pub(super) const MESSAGE_HEADER_BYTES: usize = 22;
/// The largest frame: one message of the largest size.
const FRAME_BYTES_MAX: usize = MESSAGE_HEADER_BYTES + MESSAGE_BYTES_MAX;
/// Messages are packed into one frame up to here; enough to amortize a write, little enough that
/// the first of them is not held up noticeably.
const PACK_BYTES_MAX: usize = 256 << 10;
/// Pieces up to this size are copied next to their headers: cheaper than an `iovec` of their own.
const COPY_BYTES_MAX: usize = 512;
/// The least room offered to a read.
const READ_BYTES_MIN: usize = 16 << 10;
/// Memory that is reserved on the word of a frame header; frames up to here are never moved.
const CLAIM_BYTES_MAX: usize = 1 << 20;

/// What a message is to the call it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Asks.
    Request,
    /// Answers the request of the same correlation.
    Reply,
    /// There will be no reply; the body is a text that says why.
    Failure,
}

impl Class {
    fn code(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
            Self::Failure => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Request, Self::Reply, Self::Failure].into_iter().find(|class| class.code() == code)
    }
}

/// One message: to be sent with a body in pieces, received with a body in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message<B> {
    pub(super) class: Class,
    pub(super) kind: u8,
    pub(super) group: GroupId,
    pub(super) correlation: u64,
    pub(super) body: B,
}

/// The bytes of a body in pieces.
pub(super) fn body_bytes(body: &[Bytes]) -> usize {
    body.iter().map(Bytes::len).sum()
}

/// Why received bytes are no frame. The connection that carried them is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("frame of {0} bytes, at most {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    #[error("frame of {len} bytes: crc {actual:#010x}, its header says {expected:#010x}")]
    Crc { len: usize, expected: u32, actual: u32 },
    #[error("message header of {0} bytes, must be {MESSAGE_HEADER_BYTES}")]
    Header(usize),
    #[error("message class {0}")]
    Class(u8),
    #[error("message body of {claimed} bytes, the frame holds {held} more")]
    Body { claimed: usize, held: usize },
}

/// A frame that is being packed; then the pieces of one vectored write.
#[derive(Debug, Default)]
pub(super) struct Packer {
    pieces: Vec<Bytes>,
    scratch: BytesMut,
    bytes: usize,
    messages: usize,
}

impl Packer {
    /// Whether a message with a body of this size still belongs into this frame. The first always
    /// does.
    pub(super) fn takes(&self, body_bytes: usize) -> bool {
        self.messages == 0 || self.bytes + MESSAGE_HEADER_BYTES + body_bytes <= PACK_BYTES_MAX
    }

    /// Adds a message.
    ///
    /// # Panics
    /// If its body exceeds [`MESSAGE_BYTES_MAX`], which the callers refuse before.
    pub(super) fn push(&mut self, message: &Message<Vec<Bytes>>) {
        let body_bytes = body_bytes(&message.body);
        assert!(body_bytes <= MESSAGE_BYTES_MAX, "a body of {body_bytes} bytes was let through");
        self.scratch.put_u8(message.class.code());
        self.scratch.put_u8(message.kind);
        self.scratch.put_u64_le(message.group.get());
        self.scratch.put_u64_le(message.correlation);
        self.scratch.put_u32_le(narrow(body_bytes));
        for piece in &message.body {
            if piece.len() <= COPY_BYTES_MAX {
                self.scratch.put_slice(piece);
            } else {
                self.cut_scratch();
                self.pieces.push(piece.clone());
            }
        }
        self.bytes += MESSAGE_HEADER_BYTES + body_bytes;
        self.messages += 1;
    }

    /// How many messages were added.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// The frame as pieces to be written one after the other.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.cut_scratch();
        let crc = self.pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
        let mut header = BytesMut::with_capacity(FRAME_HEADER_BYTES);
        header.put_u32_le(narrow(self.bytes));
        header.put_u32_le(crc);
        self.pieces.insert(0, header.freeze());
        self.pieces
    }

    fn cut_scratch(&mut self) {
        if !self.scratch.is_empty() {
            self.pieces.push(self.scratch.split().freeze());
        }
    }
}

/// A length that was checked against [`FRAME_BYTES_MAX`] or [`PACK_BYTES_MAX`].
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame is far smaller than 4 GiB")
}

/// Turns received bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Where the next read puts its bytes: room for the rest of the frame that has begun, as far as
    /// its claim is believed.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let missing = match self.header() {
            Some((len, _)) => (FRAME_HEADER_BYTES + len).saturating_sub(self.buffer.len()),
            None => 0,
        };
        let believed = missing.min(CLAIM_BYTES_MAX.max(self.buffer.len()));
        self.buffer.reserve(believed.max(READ_BYTES_MIN));
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes are there.
    pub(super) fn next_frame(&mut self) -> Result<Option<Messages>, FrameError> {
        let Some((len, expected)) = self.header() else { return Ok(None) };
        if len > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(len));
        }
        if self.buffer.len() < FRAME_HEADER_BYTES + len {
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER_BYTES);
        let frame = self.buffer.split_to(len).freeze();
        let actual = crc32c::crc32c(&frame);
        if actual != expected {
            return Err(FrameError::Crc { len, expected, actual });
        }
        Ok(Some(Messages { rest: frame }))
    }

    fn header(&self) -> Option<(usize, u32)> {
        let mut header = self.buffer.get(..FRAME_HEADER_BYTES)?;
        let len = usize::try_from(header.get_u32_le()).expect("a usize has at least 32 bits");
        Some((len, header.get_u32_le()))
    }
}

/// The messages of one frame, taken out one by one: a frame of empty messages costs no list of them.
#[derive(Debug)]
pub(super) struct Messages {
    rest: Bytes,
}

impl Iterator for Messages {
    type Item = Result<Message<Bytes>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.split();
        if message.is_err() {
            self.rest.clear();
        }
        Some(message)
    }
}

impl Messages {
    fn split(&mut self) -> Result<Message<Bytes>, FrameError> {
        if self.rest.len() < MESSAGE_HEADER_BYTES {
            return Err(FrameError::Header(self.rest.len()));
        }
        let class = self.rest.get_u8();
        let class = Class::from_code(class).ok_or(FrameError::Class(class))?;
        let kind = self.rest.get_u8();
        let group = GroupId::new(self.rest.get_u64_le());
        let correlation = self.rest.get_u64_le();
        let claimed = usize::try_from(self.rest.get_u32_le()).expect("a usize has 32 bits");
        let held = self.rest.len();
        if claimed > held {
            return Err(FrameError::Body { claimed, held });
        }
        Ok(Message { class, kind, group, correlation, body: self.rest.split_to(claimed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(correlation: u64, body: Vec<Bytes>) -> Message<Vec<Bytes>> {
        Message { class: Class::Request, kind: 9, group: GroupId::new(3), correlation, body }
    }

    fn joined(pieces: &[Bytes]) -> Vec<u8> {
        pieces.concat()
    }

    fn packed(messages: &[Message<Vec<Bytes>>]) -> Vec<u8> {
        let mut packer = Packer::default();
        for message in messages {
            packer.push(message);
        }
        joined(&packer.finish())
    }

    /// Feeds a decoder through reads of `step` bytes; also asserts what memory it takes.
    fn decode(bytes: &[u8], step: usize) -> Result<Vec<Message<Bytes>>, FrameError> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        let mut arrived = 0;
        for chunk in bytes.chunks(step) {
            decoder.room().extend_from_slice(chunk);
            arrived += chunk.len();
            let bound = 2 * (arrived + CLAIM_BYTES_MAX + READ_BYTES_MIN);
            assert!(decoder.buffer.capacity() <= bound, "{} taken", decoder.buffer.capacity());
            while let Some(frame) = decoder.next_frame()? {
                for message in frame {
                    messages.push(message?);
                }
            }
        }
        Ok(messages)
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let bytes = packed(&[request(5, vec![Bytes::from_static(b"hi")])]);
        let messages =
            [1, 9, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'h', b'i'];
        let mut expected = vec![24, 0, 0, 0];
        expected.extend(crc32c::crc32c(&messages).to_le_bytes());
        expected.extend(messages);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_pulse_is_an_empty_frame() {
        assert_eq!(packed(&[]), [0; FRAME_HEADER_BYTES]);
        assert_eq!(decode(&packed(&[]), 3), Ok(Vec::new()));
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![1; COPY_BYTES_MAX + 1]);
        let mut packer = Packer::default();
        packer.push(&request(0, vec![Bytes::from_static(b"small"), large.clone()]));
        let pieces = packer.finish();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == large.as_ptr()));
    }

    #[test]
    fn a_frame_is_full_at_its_bound_but_takes_one_message_of_any_size() {
        let mut packer = Packer::default();
        assert!(packer.takes(MESSAGE_BYTES_MAX));
        packer.push(&request(0, vec![Bytes::from(vec![0; PACK_BYTES_MAX / 2])]));
        let rest = PACK_BYTES_MAX / 2 - 2 * MESSAGE_HEADER_BYTES;
        assert!(packer.takes(rest));
        assert!(!packer.takes(rest + 1));
    }

    #[test]
    fn a_claim_over_the_limit_is_refused_before_memory_is_taken() {
        let mut decoder = Decoder::default();
        decoder.room().extend_from_slice(&[0xff; FRAME_HEADER_BYTES]);
        assert_eq!(decoder.next_frame().unwrap_err(), FrameError::TooLarge(0xffff_ffff));
        assert!(decoder.buffer.capacity() <= 2 * READ_BYTES_MIN);
    }

    #[test]
    fn a_body_that_reaches_beyond_its_frame_is_refused() {
        let mut messages = packed(&[request(1, vec![Bytes::from_static(b"four")])]);
        messages.drain(..FRAME_HEADER_BYTES);
        messages.pop();
        let mut bytes = u32::try_from(messages.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(crc32c::crc32c(&messages).to_le_bytes());
        bytes.extend(messages);
        assert_eq!(decode(&bytes, 64), Err(FrameError::Body { claimed: 4, held: 3 }));
    }

    fn body() -> impl Strategy<Value = Vec<Bytes>> {
        let piece = proptest::collection::vec(any::<u8>(), 0..2 * COPY_BYTES_MAX);
        proptest::collection::vec(piece.prop_map(Bytes::from), 0..4)
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..4096),
            step in 1_usize..600,
        ) {
            // What is decoded was there: no message is invented.
            if let Ok(messages) = decode(&bytes, step) {
                prop_assert!(messages.len() * MESSAGE_HEADER_BYTES <= bytes.len());
            }
        }

        #[test]
        fn any_messages_under_a_sound_checksum_are_messages_or_an_error(
            messages in proptest::collection::vec(any::<u8>(), 0..2048),
            claim in 0_u32..4096,
            sound in any::<bool>(),
        ) {
            let len = u32::try_from(messages.len()).unwrap();
            let mut bytes = if sound { len } else { claim }.to_le_bytes().to_vec();
            bytes.extend(crc32c::crc32c(&messages).to_le_bytes());
            bytes.extend(&messages);
            if let Ok(found) = decode(&bytes, 512) {
                prop_assert!(found.len() * MESSAGE_HEADER_BYTES <= messages.len());
            }
        }

        #[test]
        fn what_was_packed_is_unpacked_however_it_arrives(
            frames in proptest::collection::vec(proptest::collection::vec(body(), 0..5), 0..4),
            step in 1_usize..3000,
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for frame in frames {
                let messages: Vec<_> =
                    frame.into_iter().zip(0..).map(|(body, id)| request(id, body)).collect();
                bytes.extend(packed(&messages));
                expected.extend(messages.into_iter().map(|Message { class, kind, group, correlation, body }| {
                    Message { class, kind, group, correlation, body: Bytes::from(joined(&body)) }
                }));
            }
            prop_assert_eq!(decode(&bytes, step), Ok(expected));
        }

        #[test]
        fn a_flipped_bit_is_noticed(body in body(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let message = request(1, body);
            let mut bytes = packed(std::slice::from_ref(&message));
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            // A longer claim waits for bytes that never come; everything else is an error.
            let decoded = decode(&bytes, 4096);
            prop_assert!(decoded.is_err() || decoded == Ok(Vec::new()), "{decoded:?}");
        }
    }
}
