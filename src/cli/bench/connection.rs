//! One HTTP/1.1 connection that costs its process next to nothing, so that the cluster is measured and
//! not its client: requests are ready bytes, of an answer the status is read and the body kept.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 * 1024;
/// A head that has not ended by then is no answer to us.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// An answer to a write, or what an echo sends back, is smaller.
const BODY_BYTES_MAX: usize = 64 << 20;

/// To one broker.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// What a broker answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Connection {
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ_BYTES) })
    }

    /// Sends a request and waits for the answer. What is dropped in between must not be used again.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let (status, body_bytes) = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                break read_head(&head)?;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(strange("an answer whose head does not end"));
            }
            self.more(READ_BYTES).await?;
        };
        if body_bytes > BODY_BYTES_MAX {
            return Err(strange("an answer that is too long"));
        }
        while self.buffer.remaining() < body_bytes {
            self.more(body_bytes - self.buffer.remaining()).await?;
        }
        Ok(Answer { status, body: self.buffer.split_to(body_bytes).freeze() })
    }

    async fn more(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.reserve(bytes);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn strange(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Status, and bytes of the body.
fn read_head(head: &[u8]) -> io::Result<(u16, usize)> {
    let head = str::from_utf8(head).map_err(io::Error::other)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| strange("an answer without a status"))?;
    let named = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length = match (status, named) {
        (204 | 304, None) => Some(0),
        (_, named) => named.and_then(|length| length.parse().ok()),
    };
    Ok((status, length.ok_or_else(|| strange("an answer without a length"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_the_status_and_the_length() {
        let head = |text: &str| read_head(text.as_bytes()).ok();
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"), Some((200, 12)));
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 0)));
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(head("HTTP/1.1"), None);
    }
}
