//! What a member wants to read.

use super::limits::{PATTERN_BYTES_MAX, SUBSCRIBED_MAX};
use super::topic_partition::{LENGTH_BYTES_MAX, Partitions, by_topic, encoded_bytes_max};
use crate::error::{Error, ErrorKind};
use crate::topic::TopicName;
use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a compiled pattern may take, so that `(x{500}){500}` is refused and not built.
const COMPILED_BYTES_MAX: usize = 64 << 10;

/// What a member wants to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subscription {
    /// These topics, shared with the others that want them.
    Topics(BTreeSet<TopicName>),
    /// Every topic whose whole name matches, now or later.
    Pattern(TopicPattern),
    /// Exactly these partitions and no balancing (v2's and Kafka's `assign`). A partition claimed so is
    /// not shared out; of several members that claim it one has it and the others wait.
    Manual(#[serde(with = "by_topic")] Partitions),
}

/// A regular expression for whole topic names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicPattern(String);

impl TopicPattern {
    /// Checks a pattern (the syntax of the `regex-lite` crate; it is anchored at both ends).
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let invalid = |why: String| Err(Error::new(ErrorKind::InvalidRequest, why));
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
            let bytes = pattern.len();
            return invalid(format!(
                "a topic pattern has 1 to {PATTERN_BYTES_MAX} bytes, not {bytes}"
            ));
        }
        match compile(pattern) {
            Ok(_) => Ok(Self(pattern.to_owned())),
            Err(error) => invalid(format!("topic pattern {pattern:?}: {error}")),
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn compile(pattern: &str) -> Result<Regex, regex_lite::Error> {
    // A pattern that is not one by itself could close the group around it, as `a)|(b` does.
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build()?;
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(2 * COMPILED_BYTES_MAX).build()
}

impl Subscription {
    /// Nothing: how a member begins that has not said what it wants.
    pub const fn nothing() -> Self {
        Self::Topics(BTreeSet::new())
    }

    /// The proposer's check.
    pub fn check(&self) -> Result<(), Error> {
        let (count, what) = match self {
            Self::Topics(topics) => (topics.len(), "topics"),
            Self::Manual(partitions) => (partitions.len(), "partitions"),
            Self::Pattern(pattern) => return TopicPattern::new(pattern.as_str()).map(drop),
        };
        if count > SUBSCRIBED_MAX {
            let message = format!("{count} {what}; a member names at most {SUBSCRIBED_MAX}");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(())
    }

    /// The most bytes it takes encoded.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        let bytes = match self {
            Self::Topics(topics) => {
                topics.iter().map(|topic| topic.as_str().len() + LENGTH_BYTES_MAX).sum()
            }
            Self::Pattern(pattern) => pattern.0.len(),
            Self::Manual(partitions) => encoded_bytes_max(partitions),
        };
        bytes + 2 * LENGTH_BYTES_MAX
    }
}

/// Resolves subscriptions against the topics there are; each distinct pattern is matched once.
#[derive(Debug)]
pub(super) struct Resolver<'a, T> {
    topics: &'a BTreeMap<TopicName, T>,
    matched: BTreeMap<&'a TopicPattern, BTreeSet<TopicName>>,
}

impl<'a, T> Resolver<'a, T> {
    pub(super) fn new(topics: &'a BTreeMap<TopicName, T>) -> Self {
        Self { topics, matched: BTreeMap::new() }
    }

    /// The existing topics that are to be shared out to a member; none for claims by hand.
    pub(super) fn shared(&mut self, subscription: &'a Subscription) -> BTreeSet<TopicName> {
        match subscription {
            Subscription::Topics(wanted) => {
                wanted.iter().filter(|name| self.topics.contains_key(name)).cloned().collect()
            }
            Subscription::Pattern(pattern) => {
                let topics = self.topics;
                self.matched
                    .entry(pattern)
                    .or_insert_with(|| match compile(pattern.as_str()) {
                        Ok(regex) => {
                            let named = topics.keys().filter(|name| regex.is_match(name.as_str()));
                            named.cloned().collect()
                        }
                        // Checked by its proposer, which may have had another version of the syntax.
                        Err(_) => BTreeSet::new(),
                    })
                    .clone()
            }
            Subscription::Manual(_) => BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<TopicName> {
        names.iter().map(|name| TopicName::new(name).unwrap()).collect()
    }

    fn shared(subscription: &Subscription) -> BTreeSet<TopicName> {
        let topics = names(&["a", "ab", "abc", "b"]).into_iter().map(|name| (name, ())).collect();
        Resolver::new(&topics).shared(subscription)
    }

    fn pattern(pattern: &str) -> Subscription {
        Subscription::Pattern(TopicPattern::new(pattern).unwrap())
    }

    #[test]
    fn a_topic_that_does_not_exist_is_not_shared_out() {
        assert_eq!(shared(&Subscription::Topics(names(&["a", "none"]))), names(&["a"]));
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        assert_eq!(shared(&pattern("ab?")), names(&["a", "ab"]));
        assert_eq!(shared(&pattern("b|a")), names(&["a", "b"]));
        assert_eq!(shared(&pattern(".*")), names(&["a", "ab", "abc", "b"]));
        assert_eq!(shared(&pattern("c")), names(&[]));
    }

    #[test]
    fn claims_by_hand_are_not_shared_out() {
        assert_eq!(shared(&Subscription::Manual(Partitions::new())), names(&[]));
    }

    #[test]
    fn a_bad_pattern_is_refused_naming_it() {
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        for bad in ["", "(", "a)|(b", "((a{100}){100}){100}", &long] {
            let error = TopicPattern::new(bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.message.contains("topic pattern"), "{error}");
        }
    }

    #[test]
    fn more_topics_than_the_limit_are_refused() {
        let many = (0..=SUBSCRIBED_MAX).map(|n| TopicName::new(&format!("t{n}")).unwrap());
        let error = Subscription::Topics(many.collect()).check().unwrap_err();
        assert_eq!(error.message, "1001 topics; a member names at most 1000");
    }
}
