//! What is set on a topic, and what that means: the values in force, each as its own type.

mod table;

pub use table::{BATCH_BYTES_MAX, Setting, TABLE};

use crate::compaction::Cleaning;
use crate::error::Error;
use crate::retention::Retention;
use raft::{FlushPolicy, Roll};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::Compression;
use table::{
    CLEANUP_POLICY, COMPRESSION_TYPE, DELETE_RETENTION_MS, FLUSH_MESSAGES, FLUSH_MS, FLUSH_POLICY,
    MAX_MESSAGE_BYTES, MESSAGE_TIMESTAMP_TYPE, MIN_CLEANABLE_DIRTY_RATIO, MIN_INSYNC_REPLICAS,
    RETENTION_BYTES, RETENTION_MS, SEGMENT_BYTES, SEGMENT_MS,
};

/// What was set on a topic: names of the table to values that it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, String>);

/// How a partition's log is kept on a node: what can be changed while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// When it is flushed.
    pub flush: FlushPolicy,
    /// When it begins a segment.
    pub roll: Roll,
}

/// The most bytes of a segment of commands. Such a log is purged to its last sealed segment, and what comes
/// after that is folded anew at a start: so this bounds both, however large segments of records are. A
/// checkpoint is written with each segment, so this is above what a coordinator's can have, 12 MiB.
const COMMAND_SEGMENT_BYTES_MAX: u64 = 16 << 20;

impl Tuning {
    /// How a log of commands is kept, the metadata's or a coordinator's, where segments have
    /// `segment_bytes`. What a group decided is never worth less than a record.
    pub fn of_commands(segment_bytes: u64) -> Self {
        let bytes = segment_bytes.min(COMMAND_SEGMENT_BYTES_MAX);
        Self { flush: FlushPolicy::Always, roll: Roll { bytes: Some(bytes), ms: None } }
    }
}

/// Whose time records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Their producer's.
    CreateTime,
    /// The leader's, when it appends them.
    LogAppendTime,
}

/// Checks names and values.
pub fn check<'a>(
    changes: impl IntoIterator<Item = (&'a String, Option<&'a String>)>,
) -> Result<(), Error> {
    changes.into_iter().try_for_each(|(name, value)| {
        let setting = Setting::named(name)?;
        value.map_or(Ok(()), |value| setting.check(value))
    })
}

impl Settings {
    /// Settings that were checked before they were proposed.
    pub fn of(checked: BTreeMap<String, String>) -> Self {
        Self(checked)
    }

    /// With changes that were checked before they were proposed: `None` resets.
    #[must_use]
    pub fn with(&self, changes: &BTreeMap<String, Option<String>>) -> Self {
        let mut settings = self.clone();
        for (name, value) in changes {
            match value {
                Some(value) => settings.0.insert(name.clone(), value.clone()),
                None => settings.0.remove(name),
            };
        }
        settings
    }

    /// What was set: names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The value in force.
    pub fn value<'a>(&'a self, setting: &'a Setting) -> &'a str {
        self.0.get(setting.name).map_or(setting.default, String::as_str)
    }

    /// Whether the setting has its default because nothing was set.
    pub fn is_default(&self, setting: &Setting) -> bool {
        !self.0.contains_key(setting.name)
    }

    /// Whether each of `said` is in force.
    pub fn agrees_with(&self, said: &BTreeMap<String, String>) -> bool {
        said.iter().all(|(name, value)| {
            Setting::named(name).is_ok_and(|setting| self.value(setting) == value)
        })
    }

    /// How the topic's logs are kept.
    pub fn tuning(&self) -> Tuning {
        Tuning { flush: self.flush(), roll: self.roll() }
    }

    /// When the topic's logs are flushed.
    pub fn flush(&self) -> FlushPolicy {
        match self.text(FLUSH_POLICY) {
            "os" => FlushPolicy::Os,
            "interval" => FlushPolicy::Interval {
                every: Duration::from_millis(self.number(FLUSH_MS)),
                messages: self.number(FLUSH_MESSAGES),
            },
            // What cannot be read is as safe as can be.
            _ => FlushPolicy::Always,
        }
    }

    /// When the topic's logs begin a segment.
    pub fn roll(&self) -> Roll {
        Roll { bytes: self.limit(SEGMENT_BYTES), ms: Some(self.number(SEGMENT_MS)) }
    }

    /// The most bytes a batch may have.
    pub fn batch_bytes_max(&self) -> usize {
        usize::try_from(self.number(MAX_MESSAGE_BYTES)).unwrap_or(usize::MAX)
    }

    /// What of the topic's partitions is kept, whatever its keys.
    pub fn retention(&self) -> Retention {
        if self.text(CLEANUP_POLICY) == "compact" {
            return Retention::default();
        }
        Retention { ms: self.limit(RETENTION_MS), bytes: self.limit(RETENTION_BYTES) }
    }

    /// How the topic is compacted, if it is.
    pub fn cleaning(&self) -> Option<Cleaning> {
        let policy = self.text(CLEANUP_POLICY);
        let is_compacted = policy.split(',').any(|part| part == "compact");
        is_compacted.then(|| Cleaning {
            dirty_ratio_min: self.text(MIN_CLEANABLE_DIRTY_RATIO).parse().unwrap_or(1.0),
            tombstones_kept: Duration::from_millis(self.number(DELETE_RETENTION_MS)),
        })
    }

    /// Whether records go by compaction alone: then nobody trims, and a reader of what is gone goes on
    /// with what follows.
    pub fn is_compacted_only(&self) -> bool {
        self.text(CLEANUP_POLICY) == "compact"
    }

    /// The codec that batches have in the log, unless it is their producer's.
    pub fn compression(&self) -> Option<Compression> {
        match self.text(COMPRESSION_TYPE) {
            "uncompressed" => Some(Compression::None),
            codec => codec.parse().ok(),
        }
    }

    /// Whose time records have.
    pub fn timestamp_type(&self) -> TimestampType {
        match self.text(MESSAGE_TIMESTAMP_TYPE) {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    /// How many replicas must be in sync for a write by quorum.
    pub fn in_sync_min(&self) -> usize {
        usize::try_from(self.number(MIN_INSYNC_REPLICAS)).unwrap_or(usize::MAX)
    }

    /// A limit, if there is one. What cannot be read removes nothing.
    fn limit(&self, name: &'static str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    fn text(&self, name: &'static str) -> &str {
        Setting::named(name).map_or("", |setting| self.value(setting))
    }

    fn number(&self, name: &'static str) -> u64 {
        let default = || Setting::named(name).ok()?.default.parse().ok();
        self.text(name).parse().ok().or_else(default).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rows: &[(&str, &str)]) -> Settings {
        Settings::of(rows.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn without_settings_a_topic_is_durable_and_takes_a_mebibyte() {
        let settings = Settings::default();
        assert_eq!(settings.flush(), FlushPolicy::Always);
        assert_eq!(settings.batch_bytes_max(), 1_048_588);
        assert_eq!(settings.compression(), None);
        assert_eq!(settings.timestamp_type(), TimestampType::CreateTime);
        assert_eq!(settings.in_sync_min(), 1);
        assert!(settings.cleaning().is_none());
    }

    #[test]
    fn an_interval_has_both_its_bounds() {
        let settings = settings(&[(FLUSH_POLICY, "interval"), (FLUSH_MS, "250")]);
        let expected =
            FlushPolicy::Interval { every: Duration::from_millis(250), messages: 10_000 };
        assert_eq!(settings.flush(), expected);
    }

    #[test]
    fn records_are_kept_for_a_week_whatever_their_size() {
        let week = Retention { ms: Some(604_800_000), bytes: None };
        assert_eq!(Settings::default().retention(), week);
        let settings = settings(&[(RETENTION_MS, "-1"), (RETENTION_BYTES, "0")]);
        assert_eq!(settings.retention(), Retention { ms: None, bytes: Some(0) });
    }

    #[test]
    fn a_policy_says_what_goes() {
        let week = Retention { ms: Some(604_800_000), bytes: None };
        let rows = [
            ("delete", week, false, false),
            ("compact", Retention::default(), true, true),
            ("compact,delete", week, true, false),
            ("delete,compact", week, true, false),
        ];
        for (policy, retention, compacted, only) in rows {
            let settings = settings(&[(CLEANUP_POLICY, policy)]);
            let found = (settings.retention(), settings.cleaning().is_some());
            assert_eq!(found, (retention, compacted), "{policy}");
            assert_eq!(settings.is_compacted_only(), only, "{policy}");
        }
        let settings = settings(&[
            (CLEANUP_POLICY, "compact"),
            (MIN_CLEANABLE_DIRTY_RATIO, "0.25"),
            (DELETE_RETENTION_MS, "1500"),
        ]);
        let expected =
            Cleaning { dirty_ratio_min: 0.25, tombstones_kept: Duration::from_millis(1500) };
        assert_eq!(settings.cleaning(), Some(expected));
    }

    #[test]
    fn a_segment_is_as_the_broker_says_unless_the_topic_does() {
        let week = Some(604_800_000);
        assert_eq!(Settings::default().roll(), Roll { bytes: None, ms: week });
        let settings = settings(&[(SEGMENT_BYTES, "65536"), (SEGMENT_MS, "10")]);
        assert_eq!(settings.roll(), Roll { bytes: Some(65_536), ms: Some(10) });
    }

    #[test]
    fn a_segment_of_commands_is_small_however_large_those_of_records_are() {
        let bytes = |segment_bytes| Tuning::of_commands(segment_bytes).roll.bytes.unwrap();
        assert_eq!(bytes(64 << 10), 64 << 10);
        assert_eq!(bytes(1 << 30), 16 << 20);
        assert_eq!(Tuning::of_commands(1 << 30).flush, FlushPolicy::Always);
    }

    #[test]
    fn each_codec_has_its_name() {
        for (name, codec) in [
            ("producer", None),
            ("uncompressed", Some(Compression::None)),
            ("gzip", Some(Compression::Gzip)),
            ("snappy", Some(Compression::Snappy)),
            ("lz4", Some(Compression::Lz4)),
            ("zstd", Some(Compression::Zstd)),
        ] {
            assert_eq!(settings(&[(COMPRESSION_TYPE, name)]).compression(), codec, "{name}");
        }
    }

    #[test]
    fn what_was_said_agrees_with_a_default_in_force() {
        let none = Settings::default();
        assert!(none.agrees_with(&BTreeMap::from([(FLUSH_POLICY.into(), "always".into())])));
        assert!(!none.agrees_with(&BTreeMap::from([(FLUSH_POLICY.into(), "os".into())])));
    }
}
