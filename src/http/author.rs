//! Who sends a request's records, for the log to know them again.
//!
//! | headers | on | the records are |
//! |---|---|---|
//! | none | both URLs | anybody's: sent twice, they are there twice |
//! | `Producer-Id`, `Producer-Seq`, `Producer-Epoch` (0 if missing) | a partition's URL | a producer's, from that sequence number on |
//! | `Idempotency-Key` | both URLs | those of one request, ever |

use crate::error::{Error, ErrorKind};
use crate::producers::{KEY_BYTES_MAX, NAME_BYTES_MAX, ProducerId};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use storage::batch::{BatchBuilder, RecordBatch};

const PRODUCER_ID: HeaderName = HeaderName::from_static("producer-id");
const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Who sends the records of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Author {
    /// Nobody says.
    #[default]
    Anybody,
    /// An idempotent producer.
    Producer {
        /// It.
        id: ProducerId,
        /// Its epoch.
        epoch: i16,
        /// The sequence number of the first record.
        seq: i32,
    },
    /// Who has this key.
    Key(Vec<u8>),
}

impl Author {
    /// As the headers say; `is_fixed` where the URL names the partition.
    pub(super) fn of(headers: &HeaderMap, is_fixed: bool) -> Result<Self, Error> {
        let id = headers.get(PRODUCER_ID).map(HeaderValue::as_bytes);
        let epoch = number(headers, &PRODUCER_EPOCH, &i16::MAX)?;
        let seq = number(headers, &PRODUCER_SEQ, &i32::MAX)?;
        let key = headers.get(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
        match (id, seq, key) {
            (None, None, None) if epoch.is_none() => Ok(Self::Anybody),
            (None, _, None) => Err(refuse("Producer-Epoch and Producer-Seq need a Producer-Id")),
            (Some(_), None, None) => Err(refuse("Producer-Id needs a Producer-Seq")),
            (_, _, Some(_)) if id.is_some() || seq.is_some() || epoch.is_some() => {
                Err(refuse("Producer-… and Idempotency-Key: one of them, not both"))
            }
            (Some(_), Some(_), _) if !is_fixed => Err(refuse(
                "Producer-Seq counts the records of a partition: \
                 POST to …/partitions/{partition}/records, or use an Idempotency-Key",
            )),
            (Some(id), Some(seq), _) => {
                let epoch = epoch.unwrap_or(0);
                Ok(Self::Producer { id: producer(id)?, epoch, seq })
            }
            (None, _, Some(key)) => {
                let key = within("Idempotency-Key", key, KEY_BYTES_MAX)?;
                Ok(Self::Key(key.to_vec()))
            }
            (Some(_), None, Some(_)) => Err(refuse("Producer-… and Idempotency-Key")),
        }
    }

    /// Id, epoch and the first record's sequence number, as they stand in a batch.
    fn stamp(&self) -> Option<(i64, i16, i32)> {
        match self {
            Self::Anybody => None,
            Self::Producer { id, epoch, seq } => Some((id.get(), *epoch, *seq)),
            Self::Key(key) => Some((ProducerId::one_shot(key).get(), 0, 0)),
        }
    }

    /// Signs a batch that is about to be finished.
    pub(super) fn sign(&self, open: BatchBuilder) -> BatchBuilder {
        match self.stamp() {
            Some((id, epoch, seq)) => open.producer(id, epoch, seq),
            None => open,
        }
    }

    /// Signs ready-made batches, one after the other. Those that are signed already stay as they are.
    pub(super) fn sign_all(&self, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
        for (number, batch) in batches.iter().enumerate() {
            let Some(id) = ProducerId::new(batch.producer_id()) else { continue };
            if *self != Self::Anybody {
                let message = format!(
                    "batch {number} is of producer {id}: no Producer-… or Idempotency-Key beside it"
                );
                return Err(refuse(message));
            }
            if !id.is_allocated() {
                let message = format!(
                    "batch {number} is of producer {id}: ids come from POST /v1/producers; \
                     those from 2^62 on stand for names and keys"
                );
                return Err(refuse(message));
            }
        }
        let Some((id, epoch, mut seq)) = self.stamp() else { return Ok(batches) };
        if matches!(self, Self::Key(_)) && batches.len() > 1 {
            return Err(refuse("an Idempotency-Key is for one batch"));
        }
        let signed = batches.into_iter().map(|batch| {
            let batch = batch.with_producer(id, epoch, seq);
            seq = batch.sequenced().map_or(seq, |signed| signed.next());
            batch
        });
        Ok(signed.collect())
    }
}

/// An id that was given, or a name.
fn producer(text: &[u8]) -> Result<ProducerId, Error> {
    let name = within("Producer-Id", text, NAME_BYTES_MAX)?;
    if !name.iter().all(u8::is_ascii_digit) {
        return Ok(ProducerId::named(name));
    }
    let number = str::from_utf8(name).ok().and_then(|digits| digits.parse().ok());
    number.and_then(ProducerId::new).filter(|id| id.is_allocated()).ok_or_else(|| {
        refuse(format!(
            "Producer-Id {}: a number must come from POST /v1/producers; else choose a name",
            name.escape_ascii()
        ))
    })
}

fn within<'a>(what: &str, value: &'a [u8], bytes_max: usize) -> Result<&'a [u8], Error> {
    if (1..=bytes_max).contains(&value.len()) {
        return Ok(value);
    }
    Err(refuse(format!("{what} of {} bytes: 1 to {bytes_max} are taken", value.len())))
}

/// A number from 0 to `most`.
fn number<N: std::str::FromStr + PartialOrd + Default + std::fmt::Display>(
    headers: &HeaderMap,
    name: &HeaderName,
    most: &N,
) -> Result<Option<N>, Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let read: Option<N> = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    read.filter(|number| *number >= N::default())
        .map(Some)
        .ok_or_else(|| refuse(format!("{name} {value:?}: a number from 0 to {most} is taken")))
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::batch::Compression;

    type Headers<'a> = &'a [(&'static str, &'a str)];

    fn author(headers: Headers<'_>, is_fixed: bool) -> Result<Author, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Author::of(&map, is_fixed).map_err(|error| error.message)
    }

    fn batch(records: usize) -> RecordBatch {
        let mut builder = BatchBuilder::new();
        for _ in 0..records {
            builder.push(0, None, Some(b"x"), []);
        }
        builder.finish(Compression::None)
    }

    #[test]
    fn headers_say_who_it_is() {
        let producer = |id, epoch, seq| Author::Producer { id, epoch, seq };
        let named = ProducerId::named(b"billing-1");
        let given = ProducerId::new(7000).unwrap();
        let rows: &[(Headers<'_>, Author)] = &[
            (&[], Author::Anybody),
            (&[("producer-id", "billing-1"), ("producer-seq", "0")], producer(named, 0, 0)),
            (
                &[
                    ("producer-id", "7000"),
                    ("producer-epoch", "32767"),
                    ("producer-seq", "2147483647"),
                ],
                producer(given, i16::MAX, i32::MAX),
            ),
            (&[("idempotency-key", "\"a b\"")], Author::Key(b"\"a b\"".to_vec())),
        ];
        for (headers, expected) in rows {
            assert_eq!(author(headers, true).as_ref(), Ok(expected), "{headers:?}");
        }
        assert_eq!(author(&[("idempotency-key", "k")], false), Ok(Author::Key(b"k".to_vec())));
    }

    #[test]
    fn headers_that_say_too_little_or_too_much_are_refused() {
        let long = "x".repeat(257);
        let rows: &[(Headers<'_>, bool, &str)] = &[
            (&[("producer-seq", "0")], true, "need a Producer-Id"),
            (&[("producer-epoch", "0")], true, "need a Producer-Id"),
            (&[("producer-id", "a")], true, "needs a Producer-Seq"),
            (&[("producer-id", "a"), ("producer-epoch", "1")], true, "needs a Producer-Seq"),
            (&[("producer-id", "a"), ("producer-seq", "0")], false, "Producer-Seq counts"),
            (&[("producer-id", "a"), ("idempotency-key", "k")], true, "one of them"),
            (&[("producer-epoch", "1"), ("idempotency-key", "k")], true, "one of them"),
            (&[("producer-id", "a"), ("producer-seq", "-1")], true, "from 0 to 2147483647"),
            (&[("producer-id", "a"), ("producer-seq", "2147483648")], true, "from 0 to"),
            (&[("producer-id", "a"), ("producer-epoch", "32768")], true, "from 0 to 32767"),
            (
                &[("producer-id", "4611686018427387904"), ("producer-seq", "0")],
                true,
                "must come from",
            ),
            (&[("producer-id", ""), ("producer-seq", "0")], true, "1 to 128"),
            (&[("producer-id", &long), ("producer-seq", "0")], true, "257 bytes: 1 to 128"),
            (&[("idempotency-key", "")], true, "1 to 256"),
            (&[("idempotency-key", &long)], true, "1 to 256"),
        ];
        for (headers, is_fixed, why) in rows {
            let refused = author(headers, *is_fixed).unwrap_err();
            assert!(refused.contains(why), "{headers:?}: {refused}");
        }
    }

    #[test]
    fn ready_made_batches_are_signed_one_after_the_other() {
        let id = ProducerId::named(b"p");
        let author = Author::Producer { id, epoch: 3, seq: i32::MAX - 1 };
        let signed = author.sign_all(vec![batch(1), batch(2), batch(3)]).unwrap();
        let stamps: Vec<_> = signed
            .iter()
            .map(|batch| (batch.producer_id(), batch.producer_epoch(), batch.base_sequence()))
            .collect();
        assert_eq!(
            stamps,
            [(id.get(), 3, i32::MAX - 1), (id.get(), 3, i32::MAX), (id.get(), 3, 1)]
        );
        for batch in signed {
            assert!(
                RecordBatch::check(batch.into_bytes()).is_ok(),
                "the checksum covers the producer"
            );
        }
    }

    #[test]
    fn who_signed_a_batch_is_not_overruled_nor_made_up() {
        let own = || batch(1).with_producer(7, 0, 0);
        assert_eq!(Author::Anybody.sign_all(vec![own()]), Ok(vec![own()]));
        let key = Author::Key(b"k".to_vec());
        assert!(key.sign_all(vec![own()]).is_err());
        assert!(key.sign_all(vec![batch(1), batch(1)]).is_err());
        assert!(key.sign_all(vec![batch(1)]).is_ok());
        let made_up = batch(1).with_producer(ProducerId::named(b"p").get(), 0, 0);
        assert!(Author::Anybody.sign_all(vec![made_up]).is_err());
    }
}
