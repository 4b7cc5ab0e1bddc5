//! What can be set on a topic: one table, Kafka's names where Kafka has the thing.

use crate::config::nearest;
use crate::error::{Error, ErrorKind};
use crate::retention::Retention;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::FlushPolicy;

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
    /// Any number below 2^63, or -1: no limit.
    Limit,
}

const FLUSH_POLICY: &str = "flush.policy";
const FLUSH_MS: &str = "flush.ms";
const FLUSH_MESSAGES: &str = "flush.messages";
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const RETENTION_BYTES: &str = "retention.bytes";
const RETENTION_MS: &str = "retention.ms";

/// What a limit is set to where there is none, as in Kafka.
const UNLIMITED: &str = "-1";
/// The largest limit: Kafka keeps these in 64 bits with a sign.
const LIMIT_MAX: u64 = u64::MAX >> 1;

/// The most `max.message.bytes` can be: a batch travels between nodes in one frame.
pub const BATCH_BYTES_MAX: u64 = 8 << 20;

/// Every setting, by name.
pub const TABLE: &[Setting] = &[
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
        name: RETENTION_BYTES,
        default: UNLIMITED,
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
];

/// What was set on a topic: names of the table to values that it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, String>);

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
        let allowed = match &self.values {
            Values::OneOf(allowed) if allowed.contains(&value) => return Ok(()),
            Values::OneOf(allowed) => format!("one of {}", allowed.join(", ")),
            Values::Number { least, most }
                if value.parse().is_ok_and(|number: u64| (*least..=*most).contains(&number)) =>
            {
                return Ok(());
            }
            Values::Number { least, most } => format!("a number from {least} to {most}"),
            Values::Limit
                if value == UNLIMITED
                    || value.parse().is_ok_and(|number: u64| number <= LIMIT_MAX) =>
            {
                return Ok(());
            }
            Values::Limit => format!("a number from 0 to {LIMIT_MAX}, or {UNLIMITED} for no limit"),
        };
        let message = format!("{}={value:?}: it takes {allowed}", self.name);
        Err(Error::new(ErrorKind::InvalidSettings, message))
    }
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

    /// The most bytes a batch may have.
    pub fn batch_bytes_max(&self) -> usize {
        usize::try_from(self.number(MAX_MESSAGE_BYTES)).unwrap_or(usize::MAX)
    }

    /// What of the topic's partitions is kept.
    pub fn retention(&self) -> Retention {
        Retention { ms: self.limit(RETENTION_MS), bytes: self.limit(RETENTION_BYTES) }
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
    fn every_default_is_a_value_its_setting_takes() {
        for setting in TABLE {
            setting.check(setting.default).unwrap();
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
        ] {
            let error = Setting::named(name).unwrap().check(value).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidSettings);
            assert!(error.message.contains(name) && error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn without_settings_a_topic_is_durable_and_takes_a_mebibyte() {
        let settings = Settings::default();
        assert_eq!(settings.flush(), FlushPolicy::Always);
        assert_eq!(settings.batch_bytes_max(), 1_048_588);
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
    fn what_was_said_agrees_with_a_default_in_force() {
        let none = Settings::default();
        assert!(none.agrees_with(&BTreeMap::from([(FLUSH_POLICY.into(), "always".into())])));
        assert!(!none.agrees_with(&BTreeMap::from([(FLUSH_POLICY.into(), "os".into())])));
    }
}
