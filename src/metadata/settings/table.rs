//! The table of what can be set on a topic: Kafka's names, values and defaults where Kafka has the thing.

use crate::config::nearest;
use crate::error::{Error, ErrorKind};

/// A row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The value without one set.
    pub default: &'static str,
    /// What it does, with its unit and bounds.
    pub documentation: &'static str,
    values: Values,
}

/// The values a setting takes.
#[derive(Debug)]
enum Values {
    OneOf(&'static [&'static str]),
    Number {
        least: u64,
        most: u64,
    },
    /// A number, or -1: what the broker says.
    NumberOrBroker {
        least: u64,
        most: u64,
    },
    /// Any number below 2^63, or -1: no limit.
    Limit,
    /// A decimal fraction from 0 to 1.
    Ratio,
}

pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const COMPRESSION_TYPE: &str = "compression.type";
pub(super) const DELETE_RETENTION_MS: &str = "delete.retention.ms";
pub(super) const FLUSH_MESSAGES: &str = "flush.messages";
pub(super) const FLUSH_MS: &str = "flush.ms";
pub(super) const FLUSH_POLICY: &str = "flush.policy";
pub(super) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(super) const MESSAGE_TIMESTAMP_TYPE: &str = "message.timestamp.type";
pub(super) const MIN_CLEANABLE_DIRTY_RATIO: &str = "min.cleanable.dirty.ratio";
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(super) const RETENTION_BYTES: &str = "retention.bytes";
pub(super) const RETENTION_MS: &str = "retention.ms";
pub(super) const SEGMENT_BYTES: &str = "segment.bytes";
pub(super) const SEGMENT_MS: &str = "segment.ms";

/// What a limit is set to where there is none, as in Kafka; of a number: as the broker says.
const UNSET: &str = "-1";
/// The largest limit: Kafka keeps these in 64 bits with a sign.
const LIMIT_MAX: u64 = u64::MAX >> 1;

/// The most `max.message.bytes` can be: a batch travels between nodes in one frame.
pub const BATCH_BYTES_MAX: u64 = 8 << 20;
/// The least `segment.bytes` can be: a segment costs files, rows and syncs of its own.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// The most it can be, as for the broker's own.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Every setting, by name.
pub const TABLE: &[Setting] = &[
    Setting {
        name: CLEANUP_POLICY,
        default: "delete",
        documentation: "How old records go: delete (by retention.ms and retention.bytes), compact (the last \
                        record of each key is kept; records need keys; nothing goes by age or size), \
                        compact,delete (both).",
        values: Values::OneOf(&["delete", "compact", "compact,delete", "delete,compact"]),
    },
    Setting {
        name: COMPRESSION_TYPE,
        default: "producer",
        documentation: "How batches are compressed in the log: producer (as they came), or uncompressed, \
                        gzip, snappy, lz4, zstd: the leader encodes a batch anew that came otherwise.",
        values: Values::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
    },
    Setting {
        name: DELETE_RETENTION_MS,
        default: "86400000",
        documentation: "With cleanup.policy=compact: the milliseconds for which a tombstone (a key without a \
                        value) is kept at least after a compaction has seen it, so that readers that are \
                        not that far behind learn of it. 0 to 9223372036854775807.",
        values: Values::Number { least: 0, most: LIMIT_MAX },
    },
    Setting {
        name: FLUSH_MESSAGES,
        default: "10000",
        documentation: "With flush.policy=interval: the most records between two flushes, 1 to 1000000000.",
        values: Values::Number { least: 1, most: 1_000_000_000 },
    },
    Setting {
        name: FLUSH_MS,
        default: "1000",
        documentation: "With flush.policy=interval: the most milliseconds between a write and its flush, 1 to 3600000.",
        values: Values::Number { least: 1, most: 3_600_000 },
    },
    Setting {
        name: FLUSH_POLICY,
        default: "always",
        documentation: "When a replica counts a write as its own: always (once flushed to its disk), \
                        interval (once written; flushed by flush.ms and flush.messages), os (once written; \
                        the operating system flushes).",
        values: Values::OneOf(&["always", "interval", "os"]),
    },
    Setting {
        name: MAX_MESSAGE_BYTES,
        default: "1048588",
        documentation: "The most bytes a record batch has, compressed, 1024 to 8388608.",
        values: Values::Number { least: 1024, most: BATCH_BYTES_MAX },
    },
    Setting {
        name: MESSAGE_TIMESTAMP_TYPE,
        default: "CreateTime",
        documentation: "Whose time records have: CreateTime (their producer's), LogAppendTime (the leader's, \
                        when it appends them).",
        values: Values::OneOf(&["CreateTime", "LogAppendTime"]),
    },
    Setting {
        name: MIN_CLEANABLE_DIRTY_RATIO,
        default: "0.5",
        documentation: "With cleanup.policy=compact: a partition is compacted once this part of the bytes of \
                        its sealed segments came after the last compaction, 0 to 1.",
        values: Values::Ratio,
    },
    Setting {
        name: MIN_INSYNC_REPLICAS,
        default: "1",
        documentation: "With acks=quorum: a write is refused (503 NOT_ENOUGH_REPLICAS, not appended) while \
                        fewer replicas are in sync, the leader counted; 1 to 5. The acknowledgement is a \
                        majority's whatever it is; more than the topic has replicas refuses every write.",
        values: Values::Number { least: 1, most: 5 },
    },
    Setting {
        name: RETENTION_BYTES,
        default: UNSET,
        documentation: "The bytes of each partition that are kept at least; whole segments beyond them are \
                        removed, the oldest first. 0 to 9223372036854775807; -1: no limit.",
        values: Values::Limit,
    },
    Setting {
        name: RETENTION_MS,
        default: "604800000",
        documentation: "The milliseconds for which a record is kept at least; a segment goes once its newest \
                        record is older. 0 to 9223372036854775807; -1: for ever.",
        values: Values::Limit,
    },
    Setting {
        name: SEGMENT_BYTES,
        default: UNSET,
        documentation: "The bytes after which a partition begins a new segment: what retention and \
                        compaction work on. 65536 to 1073741824; -1: the broker's --segment-bytes.",
        values: Values::NumberOrBroker { least: SEGMENT_BYTES_MIN, most: SEGMENT_BYTES_MAX },
    },
    Setting {
        name: SEGMENT_MS,
        default: "604800000",
        documentation: "A partition begins a new segment with a record that is by so many milliseconds newer \
                        than the first of the segment, although that is not full, 1 to \
                        9223372036854775807: so what is slowly written ages and is compacted too.",
        values: Values::Number { least: 1, most: LIMIT_MAX },
    },
];

impl Setting {
    /// The setting of that name, or the error that names the nearest one.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        TABLE.iter().find(|setting| setting.name == name).ok_or_else(|| {
            let near = nearest(name, TABLE.iter().map(|setting| setting.name))
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            Error::new(ErrorKind::UnknownSetting, format!("no setting {name:?}{near}"))
        })
    }

    /// Whether it takes the value; the error names both and the bounds.
    pub fn check(&self, value: &str) -> Result<(), Error> {
        if self.values.take(value) {
            return Ok(());
        }
        let message = format!("{}={value:?}: it takes {}", self.name, self.values.described());
        Err(Error::new(ErrorKind::InvalidSettings, message))
    }
}

impl Values {
    fn take(&self, value: &str) -> bool {
        let within = |least: u64, most: u64| {
            value.parse().is_ok_and(|number: u64| (least..=most).contains(&number))
        };
        match self {
            Self::OneOf(allowed) => allowed.contains(&value),
            Self::Number { least, most } => within(*least, *most),
            Self::NumberOrBroker { least, most } => value == UNSET || within(*least, *most),
            Self::Limit => value == UNSET || within(0, LIMIT_MAX),
            Self::Ratio => value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::OneOf(allowed) => format!("one of {}", allowed.join(" ")),
            Self::Number { least, most } => format!("a number from {least} to {most}"),
            Self::NumberOrBroker { least, most } => {
                format!("a number from {least} to {most}, or {UNSET} for the broker's")
            }
            Self::Limit => format!("a number from 0 to {LIMIT_MAX}, or {UNSET} for no limit"),
            Self::Ratio => "a decimal fraction from 0 to 1".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_setting_takes() {
        for setting in TABLE {
            setting.check(setting.default).unwrap();
            assert!(setting.documentation.ends_with('.'), "{}", setting.name);
        }
        assert!(TABLE.is_sorted_by_key(|setting| setting.name));
    }

    #[test]
    fn an_unknown_name_names_the_nearest() {
        let error = Setting::named("flush.polcy").unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnknownSetting);
        assert!(error.message.contains("flush.policy"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_the_bounds() {
        for (name, value) in [
            (MAX_MESSAGE_BYTES, "1023"),
            (MAX_MESSAGE_BYTES, "8388609"),
            (MAX_MESSAGE_BYTES, "-1"),
            (FLUSH_MS, "0"),
            (FLUSH_MESSAGES, "many"),
            (FLUSH_POLICY, "never"),
            (RETENTION_MS, "-2"),
            (RETENTION_BYTES, "9223372036854775808"),
            (RETENTION_BYTES, "1k"),
            (CLEANUP_POLICY, "compacted"),
            (CLEANUP_POLICY, ""),
            (COMPRESSION_TYPE, "none"),
            (DELETE_RETENTION_MS, "-1"),
            (MESSAGE_TIMESTAMP_TYPE, "createtime"),
            (MIN_CLEANABLE_DIRTY_RATIO, "1.1"),
            (MIN_CLEANABLE_DIRTY_RATIO, "-0.1"),
            (MIN_CLEANABLE_DIRTY_RATIO, "NaN"),
            (MIN_INSYNC_REPLICAS, "0"),
            (MIN_INSYNC_REPLICAS, "6"),
            (SEGMENT_BYTES, "65535"),
            (SEGMENT_BYTES, "1073741825"),
            (SEGMENT_BYTES, "-2"),
            (SEGMENT_MS, "0"),
            (SEGMENT_MS, "-1"),
        ] {
            let error = Setting::named(name).unwrap().check(value).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidSettings);
            assert!(error.message.contains(name) && error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn a_value_within_its_bounds_is_taken() {
        for (name, value) in [
            (CLEANUP_POLICY, "compact"),
            (CLEANUP_POLICY, "delete,compact"),
            (COMPRESSION_TYPE, "zstd"),
            (MESSAGE_TIMESTAMP_TYPE, "LogAppendTime"),
            (MIN_CLEANABLE_DIRTY_RATIO, "0"),
            (MIN_CLEANABLE_DIRTY_RATIO, "0.01"),
            (SEGMENT_BYTES, "-1"),
            (SEGMENT_BYTES, "65536"),
            (SEGMENT_MS, "1"),
            (RETENTION_MS, "-1"),
        ] {
            Setting::named(name).unwrap().check(value).unwrap();
        }
    }
}
