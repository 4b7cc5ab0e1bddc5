//! Where reading begins.

use super::clock;
use crate::cli::failure::Failure;
use crate::cli::span;
use crate::client::{Client, Ends};
use crate::topic::{PartitionId, TopicName};
use jiff::Timestamp;
use std::str::FromStr;

/// `earliest`, `latest`, `N`, `-N` or `@TIME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// At the first record that is there.
    Earliest,
    /// After the last one.
    Latest,
    /// At this offset.
    At(u64),
    /// So many before the end.
    Last(u64),
    /// At the first record with this timestamp (ms) or a later one.
    Since(i64),
    /// The same, so many ms ago.
    Ago(i64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is none of earliest, latest, N, -N, @RFC3339, @MS and @-SPAN (@-1h)")
        };
        let number = |digits: &str| digits.parse::<u64>().map_err(|_not_a_number| wrong());
        match text {
            "earliest" | "start" => return Ok(Self::Earliest),
            "latest" | "end" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(back) = text.strip_prefix("@-") {
            let back = span::parse(back).map_err(|_not_a_span| wrong())?;
            return i64::try_from(back.as_millis()).map(Self::Ago).map_err(|_too_long| wrong());
        }
        if let Some(time) = text.strip_prefix('@') {
            let time = match time.parse::<i64>() {
                Ok(ms) => ms,
                Err(_not_ms) => {
                    let time: Timestamp = time.parse().map_err(|_not_a_time| wrong())?;
                    time.as_millisecond()
                }
            };
            return Ok(Self::Since(time));
        }
        match text.strip_prefix('-') {
            Some(back) => number(back).map(Self::Last),
            None => number(text).map(Self::At),
        }
    }
}

impl Start {
    /// The offset it stands for in a partition.
    pub(super) async fn offset(
        self,
        client: &Client,
        topic: &TopicName,
        partition: PartitionId,
        ends: Ends,
    ) -> Result<u64, Failure> {
        let since = match self {
            Self::Earliest => return Ok(ends.log_start),
            Self::Latest => return Ok(ends.high_watermark),
            Self::At(offset) => return Ok(offset),
            Self::Last(back) => {
                return Ok(ends.high_watermark.saturating_sub(back).max(ends.log_start));
            }
            Self::Since(time) => time,
            Self::Ago(ms) => clock::now_ms() - ms,
        };
        Ok(client.offset_at(topic, partition, since).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_grammar_is_read() {
        for (text, start) in [
            ("earliest", Start::Earliest),
            ("start", Start::Earliest),
            ("latest", Start::Latest),
            ("end", Start::Latest),
            ("42", Start::At(42)),
            ("-42", Start::Last(42)),
            ("@1700000000123", Start::Since(1_700_000_000_123)),
            ("@2023-11-14T22:13:20Z", Start::Since(1_700_000_000_000)),
            ("@-1h", Start::Ago(3_600_000)),
        ] {
            assert_eq!(text.parse(), Ok(start), "{text}");
        }
        for text in ["", "-", "@", "@-", "newest", "1.5", "@yesterday"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
