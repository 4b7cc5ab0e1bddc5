//! `Last-Event-ID`: what a reader of a stream has seen.
//!
//! ```text
//!   0:12                  partition 0 up to and with offset 12
//!   0:12,1:-1             and nothing of partition 1 yet, which began empty
//!   orders/0:12,users/3:7 of several topics, in the stream of a group
//! ```

use crate::coordinator::TopicPartition;
use crate::error::{Error, ErrorKind};
use crate::topic::{PartitionId, TopicName};
use axum::http::{HeaderMap, HeaderName};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

/// Where an `EventSource` says it when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// By partition, the offset after the last one seen: where a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen<P>(pub(super) BTreeMap<P, u64>);

/// A partition in an id of several topics: `orders/0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot(pub(super) TopicPartition);

impl<P> Default for Seen<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Ord + fmt::Display + FromStr> Seen<P> {
    /// What a request says of it. The header wins: who comes back says it there, and asks for the URL it
    /// began with.
    pub(super) fn of(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Self>, Error> {
        said(headers, query).map(Self::read).transpose()
    }

    fn read(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let message = format!("Last-Event-ID {text:?}: {why}; the id of an event is taken");
            Error::new(ErrorKind::InvalidRequest, message)
        };
        let mut seen = BTreeMap::new();
        for pair in text.split(',') {
            let (partition, next) = pair
                .rsplit_once(':')
                .and_then(|(partition, last)| Some((partition.parse().ok()?, after(last)?)))
                .ok_or_else(|| refuse("not partition:offset"))?;
            if seen.insert(partition, next).is_some() {
                return Err(refuse("names a partition again"));
            }
        }
        Ok(Self(seen))
    }

    /// The ids of what one partition gives next, the others staying where they are: what stands before
    /// the partition's own offset, and what after it.
    pub(super) fn around(&self, partition: &P) -> (String, String) {
        let pair = |(each, next): (&P, &u64)| format!("{each}:{}", Last(*next));
        let before = self.0.range((Bound::Unbounded, Bound::Excluded(partition))).map(pair);
        let before: Vec<String> = before.chain([format!("{partition}:")]).collect();
        // An empty first one gives the comma in front.
        let after = self.0.range((Bound::Excluded(partition), Bound::Unbounded)).map(pair);
        let after: Vec<String> = std::iter::once(String::new()).chain(after).collect();
        (before.join(","), after.join(","))
    }
}

impl<P: fmt::Display> fmt::Display for Seen<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (partition, next) in &self.0 {
            write!(f, "{comma}{partition}:{}", Last(*next))?;
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.topic, self.0.partition)
    }
}

impl FromStr for Spot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (topic, partition) = text.split_once('/').unwrap_or((text, ""));
        let partition = partition.parse().map_err(|_not_a_number| {
            Error::new(ErrorKind::InvalidRequest, format!("{text:?} is not topic/partition"))
        })?;
        Ok(Self(TopicPartition::new(TopicName::new(topic)?, PartitionId(partition))))
    }
}

/// The last offset before one, as ids have it: -1 before the first.
struct Last(u64);

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(1) {
            Some(last) => last.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// The id that a request names: in the header, else in the query.
fn said<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<&'a str> {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    header.filter(|id| !id.is_empty()).or(query).filter(|id| !id.is_empty())
}

/// The offset after the one named.
fn after(last: &str) -> Option<u64> {
    if last == "-1" {
        return Some(0);
    }
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let last: i64 = digits.then(|| last.parse().ok()).flatten()?;
    u64::try_from(last).ok()?.checked_add(1).filter(|next| i64::try_from(*next).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for id in ["0:12", "0:-1", "0:12,1:9,17:-1", "3:9223372036854775806"] {
            assert_eq!(Seen::<u32>::read(id).unwrap().to_string(), id);
        }
        let id = "orders/0:12,orders/1:-1,users.x-y/0:7";
        assert_eq!(Seen::<Spot>::read(id).unwrap().to_string(), id);
        let seen = Seen::<u32>::read("4:0,2:7").unwrap();
        assert_eq!(seen.0, BTreeMap::from([(2, 8), (4, 1)]));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in [
            "",
            ",",
            "0",
            "0:",
            ":1",
            "0:x",
            "-1:0",
            "0:+1",
            "0:-2",
            "0:1,",
            "0:1,0:2",
            "0:9223372036854775807",
        ] {
            assert_eq!(Seen::<u32>::read(id).unwrap_err().kind, ErrorKind::InvalidRequest, "{id}");
        }
    }

    #[test]
    fn one_partition_moves_and_the_others_stay() {
        let seen = Seen::<u32>::read("0:1,3:-1,5:2").unwrap();
        for (partition, expected) in
            [(0, "0:9,3:-1,5:2"), (3, "0:1,3:9,5:2"), (5, "0:1,3:-1,5:9"), (4, "0:1,3:-1,4:9,5:2")]
        {
            let (before, after) = seen.around(&partition);
            assert_eq!(format!("{before}9{after}"), expected);
        }
    }

    #[test]
    fn the_header_wins_over_the_query() {
        let mut headers = HeaderMap::new();
        assert_eq!(said(&headers, Some("0:1")), Some("0:1"));
        headers.insert(LAST_EVENT_ID, "".parse().unwrap());
        assert_eq!(said(&headers, Some("0:1")), Some("0:1"));
        headers.insert(LAST_EVENT_ID, "0:2".parse().unwrap());
        assert_eq!(said(&headers, Some("0:1")), Some("0:2"));
        assert_eq!(said(&HeaderMap::new(), Some("")), None);
    }

    proptest::proptest! {
        #[test]
        fn no_id_panics(id in "[0-9:,-]{0,40}") {
            let _either = Seen::<u32>::read(&id);
        }
    }
}
