//! Names of groups and of their members: plain values, checked where they are made.

use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Longest name of a group, member, instance or client, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        /// 1 to 255 bytes without control characters, neither `.` nor `..`, which no URL could name.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a name.
            pub fn new(name: &str) -> Result<Self, Error> {
                check($what, name)?;
                Ok(Self(name.into()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(&name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// A group's name.
    GroupName, "group name"
}
name! {
    /// A member's id, made by the server unless the caller gave one. Two members never share one.
    MemberId, "member id"
}
name! {
    /// The name of a static member: it stays the same over restarts, while the member's id changes.
    InstanceId, "instance id"
}

fn check(what: &str, name: &str) -> Result<(), Error> {
    let why = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("has {} bytes; the limit is {NAME_BYTES_MAX}", name.len())
    } else if name == "." || name == ".." {
        "is a directory's name".to_owned()
    } else if let Some(bad) = name.chars().find(|c| c.is_control()) {
        format!("holds the control character {bad:?}")
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(60).collect();
    Err(Error::new(ErrorKind::InvalidGroup, format!("{what} {shown:?} {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_can_name_is_a_name() {
        let long = "x".repeat(NAME_BYTES_MAX);
        for name in ["g", "a b", "häuser/2", "...", &long] {
            assert_eq!(GroupName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_the_reason() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let rows = [
            ("", "group name \"\" is empty"),
            (".", "group name \".\" is a directory's name"),
            ("a\nb", "group name \"a\\nb\" holds the control character '\\n'"),
            (&long, "has 256 bytes; the limit is 255"),
        ];
        for (name, why) in rows {
            let error = GroupName::new(name).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidGroup);
            assert!(error.message.ends_with(why), "{error}");
        }
    }
}
