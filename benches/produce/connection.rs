//! One HTTP/1.1 connection that costs its process next to nothing: requests are bytes made before,
//! of an answer the status is read and the body kept.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 * 1024;

pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// A whole request, ready to be written.
pub fn post(path: &str, media: &str, body: &[u8]) -> Bytes {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request.into()
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ_BYTES) })
    }

    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let (status, body_bytes) = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                break read_head(&head)?;
            }
            self.more().await?;
        };
        while self.buffer.remaining() < body_bytes {
            self.more().await?;
        }
        Ok(Answer { status, body: self.buffer.split_to(body_bytes).freeze() })
    }

    async fn more(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn read_head(head: &[u8]) -> io::Result<(u16, usize)> {
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "an answer without a length");
    let head = str::from_utf8(head).map_err(io::Error::other)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(strange)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).ok_or_else(strange)?;
    Ok((status, length))
}
