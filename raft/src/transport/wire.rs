//! A connection's two halves, in frames instead of bytes.

use super::counters::Traffic;
use super::frame::{Decoder, Messages, Packer};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// TCP asks a silent peer's kernel for a sign of life after this time …
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
/// … and then at this interval.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Frames leave at once and a peer whose machine vanished is noticed even on a quiet connection.
pub(super) fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive =
        socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
    socket2::SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// The half that receives.
pub(super) struct FrameReader {
    socket: OwnedReadHalf,
    decoder: Decoder,
    traffic: Arc<Traffic>,
}

impl FrameReader {
    pub(super) fn new(socket: OwnedReadHalf, traffic: Arc<Traffic>) -> Self {
        Self { socket, decoder: Decoder::default(), traffic }
    }

    /// The next frame among the bytes that were read.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Messages>> {
        let frame = self.decoder.next_frame().map_err(invalid)?;
        if frame.is_some() {
            self.traffic.received_frame();
        }
        Ok(frame)
    }

    /// Reads once; the end of the stream is an error. Safe to drop while it waits.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        let bytes = self.socket.read_buf(self.decoder.room()).await?;
        if bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it"));
        }
        self.traffic.received_bytes(bytes);
        Ok(())
    }
}

/// A frame or message that breaks the protocol.
pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The half that sends.
pub(super) struct FrameWriter {
    socket: OwnedWriteHalf,
    stall_timeout: Duration,
    traffic: Arc<Traffic>,
}

impl FrameWriter {
    /// A write without progress for `stall_timeout` is an error: the peer has stopped reading.
    pub(super) fn new(
        socket: OwnedWriteHalf,
        stall_timeout: Duration,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { socket, stall_timeout, traffic }
    }

    /// Writes a whole frame. Once it was dropped half-way, the connection is of no further use.
    pub(super) async fn write(&mut self, frame: Packer) -> io::Result<()> {
        let messages = frame.messages();
        let pieces = frame.finish();
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let written = timeout(self.stall_timeout, self.socket.write_vectored(rest))
                .await
                .map_err(|_elapsed| self.stalled())??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.traffic.sent_bytes(written);
            IoSlice::advance_slices(&mut rest, written);
        }
        self.traffic.sent_frame(messages);
        Ok(())
    }

    fn stalled(&self) -> io::Error {
        let why = format!("the peer has read nothing for {:?}", self.stall_timeout);
        io::Error::new(io::ErrorKind::TimedOut, why)
    }
}
