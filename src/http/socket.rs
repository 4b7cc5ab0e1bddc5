//! A socket that gives up on a peer who takes nothing: an answer that nobody reads must not hold its
//! memory for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The socket. Reading has no limit here: heads and bodies have theirs.
pub(super) struct Socket<S> {
    stream: S,
    pause_max: Duration,
    /// Runs while a write waits for the peer.
    alarm: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Socket<S> {
    /// A socket whose writes may wait so long for any progress.
    pub(super) fn new(stream: S, pause_max: Duration) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now()));
        Self { stream, pause_max, alarm, waiting: false }
    }

    /// Passes on what a write gave, unless it has waited too long.
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.alarm.as_mut().reset(Instant::now() + self.pause_max);
        }
        self.alarm.as_mut().poll(cx).map(|()| {
            let message = format!("the peer took nothing for {:?}", self.pause_max);
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, from);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_peer_who_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(4);
        let mut socket = Socket::new(ours, Duration::from_millis(20));
        let error = socket.write_all(b"more than four").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the peer took nothing for 20ms");
    }

    #[tokio::test]
    async fn the_clock_starts_again_whenever_the_peer_takes_something() {
        let (ours, mut theirs) = duplex(4);
        let mut socket = Socket::new(ours, Duration::from_hours(1));
        socket.write_all(b"four").await.unwrap();
        assert!(!socket.waiting);
        assert!(futures::poll!(Box::pin(socket.write(b"more"))).is_pending());
        assert!(socket.waiting);
        theirs.read_exact(&mut [0; 2]).await.unwrap();
        assert_eq!(socket.write(b"more").await.unwrap(), 2);
        assert!(!socket.waiting);
    }
}
