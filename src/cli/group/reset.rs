//! `ottla group reset`: shows what it would do, and does it only with `--execute`.

use super::or_none;
use crate::broker::ResetRow;
use crate::cli::clock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::span;
use crate::cli::table::Table;
use crate::cli::topic;
use crate::client::{Client, Reset, ResetTo};
use crate::coordinator::GroupName;
use crate::topic::TopicName;
use jiff::Timestamp;
use std::str::FromStr;

/// Flags of `ottla group reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ottla group reset billing --to earliest            shows what it would do
  ottla group reset billing --to earliest --execute  does it
  ottla group reset billing --to @-1h -t orders      to the first record of the last hour
  ottla group reset billing --by -100                a hundred records back")]
pub(in crate::cli) struct ResetArgs {
    /// The group; it must have no members
    #[arg(value_parser = super::name)]
    name: GroupName,
    /// Where to: earliest, latest, N (this offset), @TIME (RFC 3339, ms since 1970, or -1h)
    #[arg(long, value_name = "WHERE", required_unless_present = "by", conflicts_with = "by")]
    to: Option<Target>,
    /// So many records on; back, if it is negative
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    by: Option<i64>,
    /// Only in this topic; again for another. Without: everywhere that something is committed
    #[arg(long = "topic", short, value_name = "TOPIC", value_parser = topic::name)]
    topics: Vec<TopicName>,
    /// Do it, instead of only showing it
    #[arg(long)]
    execute: bool,
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Earliest,
    Latest,
    Offset(u64),
    /// ms.
    Since(i64),
    /// So many ms ago.
    Ago(i64),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is none of earliest, latest, N, @RFC3339, @MS and @-SPAN (@-1h)");
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(back) = text.strip_prefix("@-") {
            let back = span::parse(back).map_err(|_not_a_span| wrong())?;
            return i64::try_from(back.as_millis()).map(Self::Ago).map_err(|_too_long| wrong());
        }
        let Some(time) = text.strip_prefix('@') else {
            return text.parse().map(Self::Offset).map_err(|_not_a_number| wrong());
        };
        if let Ok(ms) = time.parse() {
            return Ok(Self::Since(ms));
        }
        let time: Timestamp = time.parse().map_err(|_not_a_time| wrong())?;
        Ok(Self::Since(time.as_millisecond()))
    }
}

impl Target {
    fn told(self) -> ResetTo {
        match self {
            Self::Earliest => ResetTo::Earliest,
            Self::Latest => ResetTo::Latest,
            Self::Offset(offset) => ResetTo::Offset(offset),
            Self::Since(ms) => ResetTo::Timestamp(ms),
            Self::Ago(ms) => ResetTo::Timestamp(clock::now_ms().saturating_sub(ms)),
        }
    }
}

/// Shows what a reset does, and does it if asked to.
pub(super) async fn run(
    args: ResetArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let ResetArgs { name, to, by, topics, execute } = args;
    let to = match (to, by) {
        (Some(to), _) => to.told(),
        (None, Some(by)) => ResetTo::Shift(by),
        (None, None) => return Err(Failure::new(Exit::Usage, "--to or --by says where to")),
    };
    let topics = topics.iter().map(ToString::to_string).collect();
    let reset = Reset { to, topics, dry_run: !execute };
    let offsets = client.reset_group(name.as_str(), &reset).await?;
    match output.format() {
        Format::Json => {
            output.json(&serde_json::json!({ "dry_run": !execute, "offsets": offsets }))?;
        }
        Format::Text if offsets.is_empty() => {
            output.note(format!("group {name} has committed nothing: name topics with --topic"));
        }
        Format::Text => output.line(told(&offsets))?,
    }
    if !execute && !offsets.is_empty() {
        output.flush()?;
        output.note("nothing was changed: --execute does it");
    }
    Ok(Exit::Done)
}

fn told(rows: &[ResetRow]) -> String {
    let mut table = Table::new(["TOPIC", "PARTITION", "FROM", "TO"]).numbers([1, 2, 3]);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            or_none(row.from),
            row.to.to_string(),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_read() {
        let rows = [
            ("earliest", Target::Earliest),
            ("latest", Target::Latest),
            ("12", Target::Offset(12)),
            ("@1790000000000", Target::Since(1_790_000_000_000)),
            ("@1970-01-01T00:00:01Z", Target::Since(1000)),
            ("@-2m", Target::Ago(120_000)),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", "-3", "newest", "@", "@-1x", "1.5"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
