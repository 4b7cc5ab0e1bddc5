//! The first exchange on a connection: who dials, whom it means, for which lane.
//!
//! ```text
//! dialler   "OTTL" │ version u16 │ lane u8 │ len u16 │ Hello (storage::codec)
//! acceptor  accepted u8 │ len u16 │ why not, UTF-8, empty if accepted
//! ```
//!
//! The magic, the version and the whole answer never change, so that any two versions can tell each
//! other why they do not talk. Numbers are little endian.

use super::lane::Lane;
use super::node_id::NodeId;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

const MAGIC: [u8; 4] = *b"OTTL";
/// Version of the greeting's rest and of the frames.
const PROTOCOL_VERSION: u16 = 1;
/// The largest encoded [`Hello`]; today's has at most 51 bytes.
const HELLO_BYTES_MAX: usize = 1024;
/// The longest refusal; a longer text is cut.
const REFUSAL_BYTES_MAX: usize = 4096;

/// What the peer said of itself when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who dials.
    pub from: NodeId,
    /// Whom it means to reach.
    pub to: NodeId,
    /// The disk it means to reach there, nil if it knows none: a node that lost its disk has lost its
    /// votes and its log, so it must not be taken for the one that had them.
    pub to_disk: Uuid,
    /// Its cluster, nil before it belongs to one.
    pub cluster: Uuid,
    /// The identity of its disk: made once per data directory.
    pub disk: Uuid,
}

impl Hello {
    /// Whether `node` of `cluster` is the one that is meant, before anyone asks the floor above.
    ///
    /// | dialler            | acceptor    |                                        |
    /// |--------------------|-------------|----------------------------------------|
    /// | means another node |             | refused, unless it means whoever is here |
    /// | means another disk |             | refused: ours was wiped                |
    /// | has the same id    |             | refused: two nodes with one id         |
    /// | cluster A          | cluster B   | refused                                |
    /// | cluster A or nil   | A or nil    | the floor above decides                |
    pub(super) fn fits(&self, node: NodeId, disk: Uuid, cluster: Uuid) -> Result<(), String> {
        let Self { from, to, to_disk, .. } = self;
        if *to != node && *to != NodeId::WHOEVER {
            return Err(format!("node {from} means to reach node {to}, but this is node {node}"));
        }
        if !to_disk.is_nil() && *to_disk != disk {
            return Err(format!(
                "node {from} knows node {node} with disk {to_disk}, but its disk now is {disk}"
            ));
        }
        if *from == node {
            return Err(format!("the dialling node says it is node {from}, but that is this node"));
        }
        if !self.cluster.is_nil() && !cluster.is_nil() && self.cluster != cluster {
            let other = self.cluster;
            return Err(format!(
                "node {from} belongs to cluster {other}, node {node} to cluster {cluster}"
            ));
        }
        Ok(())
    }
}

/// What an acceptor made of the bytes it got first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// One of us.
    Hello(Lane, Hello),
    /// One of us, but we cannot talk; the text is for it.
    Foreign(String),
}

/// The acceptor's answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The connection stands.
    Accepted,
    /// The peer does not want us, with its words.
    Refused(String),
}

/// The dialler's side.
pub(super) async fn greet(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    lane: Lane,
    hello: &Hello,
) -> io::Result<Verdict> {
    let hello = storage::codec::encode(hello);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(PROTOCOL_VERSION.to_le_bytes());
    bytes.push(lane.code());
    bytes.extend(len_u16(&hello));
    bytes.extend(hello);
    socket.write_all(&bytes).await?;

    let accepted = socket.read_u8().await?;
    let why = read_sized(socket, REFUSAL_BYTES_MAX).await?;
    match accepted {
        1 => Ok(Verdict::Accepted),
        _ => Ok(Verdict::Refused(String::from_utf8_lossy(&why).into_owned())),
    }
}

/// The acceptor's side: reads the greeting; bytes that are not ours at all are an error.
pub(super) async fn receive(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Greeting> {
    let mut magic = [0; MAGIC.len()];
    socket.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(invalid(format!("greeting begins with {magic:02x?}, not with {MAGIC:02x?}")));
    }
    let version = socket.read_u16_le().await?;
    if version != PROTOCOL_VERSION {
        let why = format!("it speaks protocol version {version}, this node {PROTOCOL_VERSION}");
        return Ok(Greeting::Foreign(why));
    }
    let lane = socket.read_u8().await?;
    let Some(lane) = Lane::from_code(lane) else {
        return Ok(Greeting::Foreign(format!("it dials lane {lane}, which is unknown here")));
    };
    let hello = storage::codec::decode(&read_sized(socket, HELLO_BYTES_MAX).await?)?;
    Ok(Greeting::Hello(lane, hello))
}

/// The acceptor's side: answers.
pub(super) async fn answer(
    socket: &mut (impl AsyncWrite + Unpin),
    verdict: &Verdict,
) -> io::Result<()> {
    let (accepted, why) = match verdict {
        Verdict::Accepted => (1, ""),
        Verdict::Refused(why) => (0, why.as_str()),
    };
    let why = why.get(..why.floor_char_boundary(REFUSAL_BYTES_MAX)).unwrap_or_default();
    let mut bytes = vec![accepted];
    bytes.extend(len_u16(why.as_bytes()));
    bytes.extend(why.as_bytes());
    socket.write_all(&bytes).await
}

fn len_u16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("greetings and refusals are small").to_le_bytes()
}

async fn read_sized(socket: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Vec<u8>> {
    let len = usize::from(socket.read_u16_le().await?);
    if len > max {
        return Err(invalid(format!("{len} bytes in a greeting, at most {max}")));
    }
    let mut bytes = vec![0; len];
    socket.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(0xa);
    const B: Uuid = Uuid::from_u128(0xb);
    const NIL: Uuid = Uuid::nil();

    /// The disk of the node that is greeted.
    const OURS: Uuid = Uuid::from_u128(2);

    fn hello(from: u64, to: u64, cluster: Uuid) -> Hello {
        let (to_disk, disk) = (NIL, Uuid::from_u128(1));
        Hello { from: NodeId(from), to: NodeId(to), to_disk, cluster, disk }
    }

    #[test]
    fn each_greeting_is_judged() {
        // Dialler's from, to and cluster; our cluster at node 2; what the refusal says.
        let rows = [
            (hello(1, 2, A), A, None),
            (hello(1, 2, NIL), A, None),
            (hello(1, 2, A), NIL, None),
            (hello(1, 2, NIL), NIL, None),
            (hello(1, 0, A), A, None),
            (Hello { to_disk: OURS, ..hello(1, 2, A) }, A, None),
            (Hello { to_disk: A, ..hello(1, 2, A) }, A, Some("knows node 2 with disk")),
            (hello(1, 3, A), A, Some("means to reach node 3, but this is node 2")),
            (hello(2, 2, A), A, Some("says it is node 2, but that is this node")),
            (
                hello(1, 2, A),
                B,
                Some(
                    "node 1 belongs to cluster 00000000-0000-0000-0000-00000000000a, node 2 to cluster 00000000-0000-0000-0000-00000000000b",
                ),
            ),
        ];
        for (hello, ours, refusal) in rows {
            match (hello.fits(NodeId(2), OURS, ours), refusal) {
                (Ok(()), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{why}"),
                (judged, expected) => panic!("{hello:?}: {judged:?}, expected {expected:?}"),
            }
        }
    }

    async fn received(bytes: &[u8]) -> io::Result<Greeting> {
        receive(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_greeting_and_its_verdict_arrive() {
        for verdict in [Verdict::Accepted, Verdict::Refused("not you".into())] {
            let (mut dialler, mut acceptor) = tokio::io::duplex(64);
            let sent = hello(1, 2, A);
            let (told, received) = tokio::join!(greet(&mut dialler, Lane::Data, &sent), async {
                let greeting = receive(&mut acceptor).await.unwrap();
                answer(&mut acceptor, &verdict).await.unwrap();
                greeting
            });
            assert_eq!(received, Greeting::Hello(Lane::Data, sent.clone()));
            assert_eq!(told.unwrap(), verdict);
        }
    }

    #[tokio::test]
    async fn a_long_refusal_is_cut_at_a_character() {
        let (mut dialler, mut acceptor) = tokio::io::duplex(16 << 10);
        answer(&mut acceptor, &Verdict::Refused("é".repeat(REFUSAL_BYTES_MAX))).await.unwrap();
        let told = greet(&mut dialler, Lane::Call, &hello(1, 2, A)).await.unwrap();
        assert_eq!(told, Verdict::Refused("é".repeat(REFUSAL_BYTES_MAX / 2)));
    }

    #[tokio::test]
    async fn what_cannot_be_talked_to_is_told_why() {
        let version = received(b"OTTL\x02\x00").await.unwrap();
        let why = "it speaks protocol version 2, this node 1";
        assert_eq!(version, Greeting::Foreign(why.into()));
        let lane = received(b"OTTL\x01\x00\x09").await.unwrap();
        assert_eq!(lane, Greeting::Foreign("it dials lane 9, which is unknown here".into()));
    }

    #[tokio::test]
    async fn a_stranger_is_an_error() {
        let error = received(b"GET / HTTP/1.1\r\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = received(b"OTTL\x01\x00\x01\xff\xff").await.unwrap_err();
        assert_eq!(error.to_string(), "65535 bytes in a greeting, at most 1024");
        let error = received(b"OTT").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
