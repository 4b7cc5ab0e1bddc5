//! A line of a web server's log, in the common log format.
#![allow(dead_code, reason = "each example uses a part of it")]

use crate::cluster::Outcome;
use jiff::Timestamp;
use jiff::fmt::strtime;

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Who asked.
    pub(crate) host: &'a str,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
    /// What for.
    pub(crate) path: &'a str,
    /// The answer.
    pub(crate) status: u16,
    /// Its length.
    pub(crate) bytes: u64,
}

impl<'a> Request<'a> {
    /// Reads `host - - [time] "GET path HTTP/1.0" status bytes`.
    pub(crate) fn read(line: &'a str) -> Outcome<Self> {
        let fields = || {
            let (host, rest) = line.split_once(" - - [")?;
            let (time, rest) = rest.split_once("] \"")?;
            let (asked, answer) = rest.rsplit_once("\" ")?;
            let path = asked.split(' ').nth(1)?;
            let (status, bytes) = answer.split_once(' ')?;
            Some((host, time, path, status, bytes))
        };
        let wrong = || format!("not a line of a log: {line}");
        let (host, time, path, status, bytes) = fields().ok_or_else(wrong)?;
        let at: Timestamp = strtime::parse("%d/%b/%Y:%H:%M:%S %z", time)?.to_timestamp()?;
        let (status, bytes) = (status.parse()?, bytes.parse()?);
        Ok(Self { host, at_ms: at.as_millisecond(), path, status, bytes })
    }

    /// The kind of file, by the end of its name.
    pub(crate) fn kind(&self) -> &'a str {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.rsplit_once('.').map_or("page", |(_, kind)| kind)
    }
}
