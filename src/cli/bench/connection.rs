//! One HTTP/1.1 connection that costs its process next to nothing, so that the cluster is measured and
//! not its client: requests are ready bytes, of an answer the status and a few numbers are read and the
//! body is kept as it came.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 * 1024;
/// A head that has not ended by then is no answer to us.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// An answer to a write, what an echo sends back, or a page: each is asked for with less.
const BODY_BYTES_MAX: usize = 72 << 20;
/// A chunk's size, with extensions that nobody uses.
const CHUNK_LINE_BYTES_MAX: usize = 256;

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
    /// Where the next fetch begins, and the first offset that can be read, if it was one.
    pub(super) next_offset: Option<u64>,
    pub(super) log_start: Option<u64>,
    pub(super) body: Bytes,
}

/// What is read of an answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    body: Length,
    next_offset: Option<u64>,
    log_start: Option<u64>,
    /// The broker closes the connection behind it.
    is_last: bool,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
}

impl Connection {
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ_BYTES) })
    }

    /// Sends a request and waits for the answer; gives the connection back if it can be used again.
    pub(super) async fn exchange(mut self, request: &[u8]) -> io::Result<(Answer, Option<Self>)> {
        self.stream.write_all(request).await?;
        let head = self.until(b"\r\n\r\n", HEAD_BYTES_MAX).await?;
        let Head { status, body, next_offset, log_start, is_last } = Head::read(&head)?;
        drop(head);
        let body = match body {
            Length::Bytes(bytes) => self.bytes(bytes).await?,
            Length::Chunked => self.chunks().await?,
        };
        let answer = Answer { status, next_offset, log_start, body };
        Ok((answer, (!is_last).then_some(self)))
    }

    async fn bytes(&mut self, bytes: usize) -> io::Result<Bytes> {
        if bytes > BODY_BYTES_MAX {
            return Err(strange("an answer that is too long"));
        }
        while self.buffer.remaining() < bytes {
            self.more(bytes - self.buffer.remaining()).await?;
        }
        Ok(self.buffer.split_to(bytes).freeze())
    }

    /// RFC 9112, 7.1: sizes in hexadecimal, each before its bytes, until a size of nothing.
    async fn chunks(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.until(b"\r\n", CHUNK_LINE_BYTES_MAX).await?;
            let size = chunk_bytes(&line).ok_or_else(|| strange("a chunk without a size"))?;
            if size == 0 {
                break;
            }
            if body.len().saturating_add(size) > BODY_BYTES_MAX {
                return Err(strange("an answer that is too long"));
            }
            body.extend_from_slice(&self.bytes(size).await?);
            self.until(b"\r\n", 2).await?;
        }
        // Trailers, which say nothing to us, up to an empty line.
        while self.until(b"\r\n", HEAD_BYTES_MAX).await?.len() > 2 {}
        Ok(body.freeze())
    }

    /// Takes everything up to the end of this mark.
    async fn until(&mut self, mark: &[u8], bytes_max: usize) -> io::Result<BytesMut> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|bytes| bytes == mark) {
                return Ok(self.buffer.split_to(at + mark.len()));
            }
            if self.buffer.len() >= bytes_max {
                return Err(strange("an answer that does not end where it should"));
            }
            self.more(READ_BYTES).await?;
        }
    }

    async fn more(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.reserve(bytes);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Head {
    fn read(head: &[u8]) -> io::Result<Self> {
        let text = str::from_utf8(head).map_err(io::Error::other)?;
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| strange("an answer without a status"))?;
        let mut body = matches!(status, 204 | 304).then_some(Length::Bytes(0));
        let mut head = Self {
            status,
            body: Length::Chunked,
            next_offset: None,
            log_start: None,
            is_last: false,
        };
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let (is, value) = (|wanted| name.eq_ignore_ascii_case(wanted), value.trim());
            if is("content-length") {
                body = value.parse().ok().map(Length::Bytes);
            } else if is("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
                body = Some(Length::Chunked);
            } else if is("next-offset") {
                head.next_offset = value.parse().ok();
            } else if is("log-start-offset") {
                head.log_start = value.parse().ok();
            } else if is("connection") {
                head.is_last = value.eq_ignore_ascii_case("close");
            }
        }
        head.body = body.ok_or_else(|| strange("an answer without a length"))?;
        Ok(head)
    }
}

fn chunk_bytes(line: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(line).ok()?.split(';').next()?.trim();
    usize::from_str_radix(digits, 16).ok()
}

fn strange(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn a_head_tells_the_status_and_where_the_body_ends() {
        let head =
            |text: &str| Head::read(text.as_bytes()).ok().map(|head| (head.status, head.body));
        let (bytes, chunked) = (|bytes| Length::Bytes(bytes), Length::Chunked);
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"), Some((200, bytes(12))));
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n"), Some((204, bytes(0))));
        assert_eq!(
            head("HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n"),
            Some((503, chunked))
        );
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(head("HTTP/1.1"), None);
    }

    #[test]
    fn a_head_tells_the_offsets_and_whether_it_is_the_last() {
        let text = "HTTP/1.1 200 OK\r\nNext-Offset: 7\r\nLog-Start-Offset: 3\r\n\
                    Connection: close\r\ncontent-length: 0\r\n\r\n";
        let head = Head::read(text.as_bytes()).unwrap();
        assert_eq!((head.next_offset, head.log_start, head.is_last), (Some(7), Some(3), true));
    }

    /// What is read of these bytes, which come in two pieces, and whether the connection is left.
    async fn answered(text: &'static str, cut: usize) -> io::Result<(Vec<u8>, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let broker = async {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 3];
            stream.read_exact(&mut request).await?;
            let (one, two) = text.as_bytes().split_at(cut.min(text.len()));
            stream.write_all(one).await?;
            tokio::task::yield_now().await;
            stream.write_all(two).await?;
            stream.shutdown().await
        };
        let asked = async { Connection::open(&address).await?.exchange(b"GET").await };
        let (sent, answer) = tokio::join!(broker, asked);
        sent?;
        let (answer, connection) = answer?;
        Ok((answer.body.to_vec(), connection.is_some()))
    }

    #[tokio::test]
    async fn a_body_in_chunks_is_put_together_wherever_it_is_cut() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(
                answered(text, cut).await.unwrap(),
                (b"hello world".to_vec(), true),
                "{cut}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            answered(text, 20).await.unwrap_err();
        }
    }
}
