//! How a node is configured: one struct, one literal of defaults.
//!
//! A value comes from the first of: flag, `OTTLA_*` environment, the TOML file of `--config`, the
//! defaults. [`Overrides`] is all of the first three: its fields are the flags, the variables and the
//! keys of the file, so a setting has one name everywhere. Unknown keys refuse to start.

use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Which engine keeps the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Segment files.
    #[default]
    Segment,
    /// Entries in sled.
    Sled,
}

/// How the log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A founding node: `id=host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Founder {
    /// Its id.
    pub id: u64,
    /// Where peers reach it.
    pub peer: String,
}

/// How a node finds its cluster at its first start. Afterwards its data directory knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bootstrap {
    /// It founds a cluster with these nodes (itself among them); alone, if there are none.
    Found(Vec<Founder>),
    /// It asks one of these peer addresses to take it in.
    Join(Vec<String>),
}

/// What one node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its id, from 1.
    pub node_id: u64,
    /// Its data directory.
    pub data: PathBuf,
    /// Where HTTP listens.
    pub http: String,
    /// Where clients and other brokers are told to reach it; the bound address, if not said.
    pub advertise_http: Option<String>,
    /// Where it listens to peers.
    pub peer: String,
    /// Where peers are told to reach it; the bound address, if not said.
    pub advertise_peer: Option<String>,
    /// Its rack.
    pub rack: Option<String>,
    /// How it finds its cluster.
    pub bootstrap: Bootstrap,
    /// Where the bound addresses are written once they are known.
    pub addresses_file: Option<PathBuf>,
    /// Which engine keeps the frames.
    pub engine: Engine,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are (a `tracing` filter).
    pub log_level: String,
    /// When a segment is sealed.
    pub segment_bytes: u64,
    /// Between two looks at what retention removes.
    pub retention_check: Duration,
    /// How many coordinators of consumer groups are made, when the first group comes to the cluster.
    pub coordinators: u32,
    /// How long a consumer group that changed waits for more changes before it is assigned anew.
    pub rebalance_delay: Duration,
    /// Memory for recent entries, over all logs.
    pub tail_cache_bytes: usize,
    /// Between two heartbeats of a leader whose partition is in use; at rest they are rarer.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// The longest.
    pub election_max: Duration,
    /// The most payload bytes that wait to be committed on this node.
    pub proposal_bytes_max: usize,
    /// The most bytes of produce requests that this node works on.
    pub produce_bytes_max: usize,
    /// The most fetches that this node answers or lets wait.
    pub fetches_max: usize,
    /// The most bytes of an HTTP request body.
    pub http_body_bytes_max: usize,
    /// The most HTTP requests being answered.
    pub http_requests_max: usize,
    /// The most HTTP connections.
    pub http_connections_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_id: 1,
            data: PathBuf::from("ottla-data"),
            http: "127.0.0.1:8080".into(),
            advertise_http: None,
            peer: "127.0.0.1:7001".into(),
            advertise_peer: None,
            rack: None,
            bootstrap: Bootstrap::Found(Vec::new()),
            addresses_file: None,
            engine: Engine::Segment,
            log_format: LogFormat::Text,
            log_level: "info".into(),
            segment_bytes: 64 << 20,
            retention_check: Duration::from_mins(5),
            coordinators: 16,
            rebalance_delay: Duration::from_millis(50),
            tail_cache_bytes: 64 << 20,
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(600),
            election_max: Duration::from_secs(1),
            proposal_bytes_max: 128 << 20,
            produce_bytes_max: 128 << 20,
            fetches_max: 4096,
            http_body_bytes_max: 64 << 20,
            http_requests_max: 4096,
            http_connections_max: 8192,
        }
    }
}

/// The most bytes that a batch of our own log inflates to when its records are looked at.
pub const INFLATED_BATCH_BYTES_MAX: usize = 128 << 20;

/// The least bytes of a segment: a batch of the largest size fits twice.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// The most coordinators of consumer groups: each is a Raft group on up to three nodes.
pub const COORDINATORS_MAX: u32 = 256;
/// The longest a changed consumer group waits for more changes: its members wait too.
const REBALANCE_DELAY_MAX: Duration = Duration::from_mins(1);
/// The least time between two looks at retention: each looks at every segment of the node.
const RETENTION_CHECK_MIN: Duration = Duration::from_millis(10);

/// Why a node does not start. Names the fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// What flags, environment and file may say; `None` is "not said".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Overrides {
    /// This node's id, from 1; never given to another disk [default: 1]
    #[arg(long, env = "OTTLA_NODE_ID", value_name = "N")]
    pub node_id: Option<u64>,
    /// Data directory [default: ottla-data]
    #[arg(long, env = "OTTLA_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where HTTP listens [default: 127.0.0.1:8080]
    #[arg(long, env = "OTTLA_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// Where others are told to reach HTTP [default: the bound address]
    #[arg(long, env = "OTTLA_ADVERTISE_HTTP", value_name = "HOST:PORT")]
    pub advertise_http: Option<String>,
    /// Where peers are listened to [default: 127.0.0.1:7001]
    #[arg(long, env = "OTTLA_PEER", value_name = "HOST:PORT")]
    pub peer: Option<String>,
    /// Where peers are told to reach this node [default: the bound address]
    #[arg(long, env = "OTTLA_ADVERTISE_PEER", value_name = "HOST:PORT")]
    pub advertise_peer: Option<String>,
    /// Rack; replicas spread over racks
    #[arg(long, env = "OTTLA_RACK")]
    pub rack: Option<String>,
    /// Founds a cluster of these nodes and their peer addresses, this one among them
    #[arg(long, env = "OTTLA_INITIAL", value_name = "ID=HOST:PORT", value_delimiter = ',')]
    pub initial: Option<Vec<Founder>>,
    /// Joins the cluster of any of these peer addresses
    #[arg(long, env = "OTTLA_JOIN", value_name = "HOST:PORT", value_delimiter = ',')]
    pub join: Option<Vec<String>>,
    /// Writes the bound addresses to this file as JSON, for ports given as 0
    #[arg(long, env = "OTTLA_ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,
    /// Storage engine [default: segment]
    #[arg(long, env = "OTTLA_ENGINE", value_enum)]
    pub engine: Option<Engine>,
    /// Form of the log lines [default: text]
    #[arg(long, env = "OTTLA_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Which log lines: error, warn, info, debug, or a filter such as raft=debug,info [default: info]
    #[arg(long, env = "OTTLA_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Bytes after which a segment is sealed [default: 67108864]
    #[arg(long, env = "OTTLA_SEGMENT_BYTES", value_name = "BYTES", hide_short_help = true)]
    pub segment_bytes: Option<u64>,
    /// Milliseconds between looks at what retention removes [default: 300000]
    #[arg(long, env = "OTTLA_RETENTION_CHECK_MS", value_name = "MS", hide_short_help = true)]
    pub retention_check_ms: Option<u64>,
    /// Coordinators of consumer groups that are made when the first group comes, 1 to 256 [default: 16]
    #[arg(long, env = "OTTLA_COORDINATORS", value_name = "COUNT", hide_short_help = true)]
    pub coordinators: Option<u32>,
    /// Milliseconds that a changed consumer group waits for more changes [default: 50]
    #[arg(long, env = "OTTLA_REBALANCE_DELAY_MS", value_name = "MS", hide_short_help = true)]
    pub rebalance_delay_ms: Option<u64>,
    /// Memory for recent entries over all logs [default: 67108864]
    #[arg(long, env = "OTTLA_TAIL_CACHE_BYTES", value_name = "BYTES", hide_short_help = true)]
    pub tail_cache_bytes: Option<usize>,
    /// Milliseconds between heartbeats of a leader, while its partition is in use [default: 150]
    #[arg(long, env = "OTTLA_HEARTBEAT_MS", value_name = "MS", hide_short_help = true)]
    pub heartbeat_ms: Option<u64>,
    /// Shortest silence before an election, in milliseconds [default: 600]
    #[arg(long, env = "OTTLA_ELECTION_MIN_MS", value_name = "MS", hide_short_help = true)]
    pub election_min_ms: Option<u64>,
    /// Longest silence before an election, in milliseconds [default: 1000]
    #[arg(long, env = "OTTLA_ELECTION_MAX_MS", value_name = "MS", hide_short_help = true)]
    pub election_max_ms: Option<u64>,
    /// Most payload bytes that wait to be committed [default: 134217728]
    #[arg(long, env = "OTTLA_PROPOSAL_BYTES_MAX", value_name = "BYTES", hide_short_help = true)]
    pub proposal_bytes_max: Option<usize>,
    /// Most bytes of produce requests being worked on [default: 134217728]
    #[arg(long, env = "OTTLA_PRODUCE_BYTES_MAX", value_name = "BYTES", hide_short_help = true)]
    pub produce_bytes_max: Option<usize>,
    /// Most fetches being answered or waiting [default: 4096]
    #[arg(long, env = "OTTLA_FETCHES_MAX", value_name = "N", hide_short_help = true)]
    pub fetches_max: Option<usize>,
    /// Most bytes of an HTTP request body [default: 67108864]
    #[arg(long, env = "OTTLA_HTTP_BODY_BYTES_MAX", value_name = "BYTES", hide_short_help = true)]
    pub http_body_bytes_max: Option<usize>,
    /// Most HTTP requests being answered [default: 4096]
    #[arg(long, env = "OTTLA_HTTP_REQUESTS_MAX", value_name = "N", hide_short_help = true)]
    pub http_requests_max: Option<usize>,
    /// Most HTTP connections [default: 8192]
    #[arg(long, env = "OTTLA_HTTP_CONNECTIONS_MAX", value_name = "N", hide_short_help = true)]
    pub http_connections_max: Option<usize>,
}

impl Overrides {
    /// Reads a configuration file. Unknown keys and wrong values name the line.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let place = format!("{}:{line}", path.display());
            let message = error.message();
            // serde's message lists every key; the one that was meant says more.
            let unknown = message.strip_prefix("unknown field `").and_then(|m| m.split_once('`'));
            ConfigError(match unknown {
                Some((key, _)) => {
                    let keys = Self::keys();
                    let near = nearest(key, keys.iter().map(String::as_str))
                        .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                    format!("{place}: unknown key {key:?}{near}")
                }
                None => format!("{place}: {message}"),
            })
        })
    }

    /// What this says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            node_id: self.node_id.or(other.node_id),
            data: self.data.or(other.data),
            http: self.http.or(other.http),
            advertise_http: self.advertise_http.or(other.advertise_http),
            peer: self.peer.or(other.peer),
            advertise_peer: self.advertise_peer.or(other.advertise_peer),
            rack: self.rack.or(other.rack),
            initial: self.initial.or(other.initial),
            join: self.join.or(other.join),
            addresses_file: self.addresses_file.or(other.addresses_file),
            engine: self.engine.or(other.engine),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            retention_check_ms: self.retention_check_ms.or(other.retention_check_ms),
            coordinators: self.coordinators.or(other.coordinators),
            rebalance_delay_ms: self.rebalance_delay_ms.or(other.rebalance_delay_ms),
            tail_cache_bytes: self.tail_cache_bytes.or(other.tail_cache_bytes),
            heartbeat_ms: self.heartbeat_ms.or(other.heartbeat_ms),
            election_min_ms: self.election_min_ms.or(other.election_min_ms),
            election_max_ms: self.election_max_ms.or(other.election_max_ms),
            proposal_bytes_max: self.proposal_bytes_max.or(other.proposal_bytes_max),
            produce_bytes_max: self.produce_bytes_max.or(other.produce_bytes_max),
            fetches_max: self.fetches_max.or(other.fetches_max),
            http_body_bytes_max: self.http_body_bytes_max.or(other.http_body_bytes_max),
            http_requests_max: self.http_requests_max.or(other.http_requests_max),
            http_connections_max: self.http_connections_max.or(other.http_connections_max),
        }
    }

    /// With the defaults where nothing was said, checked.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let bootstrap = match (self.initial, self.join) {
            (Some(_), Some(_)) => {
                let why =
                    "initial and join exclude each other: a node founds a cluster or joins one";
                return Err(ConfigError(why.into()));
            }
            (None, Some(join)) => Bootstrap::Join(join),
            (initial, None) => Bootstrap::Found(initial.unwrap_or_default()),
        };
        let default = Config::default();
        let ms = |said: Option<u64>, default| said.map_or(default, Duration::from_millis);
        let config = Config {
            node_id: self.node_id.unwrap_or(default.node_id),
            data: self.data.unwrap_or(default.data),
            http: self.http.unwrap_or(default.http),
            advertise_http: self.advertise_http,
            peer: self.peer.unwrap_or(default.peer),
            advertise_peer: self.advertise_peer,
            rack: self.rack,
            bootstrap,
            addresses_file: self.addresses_file,
            engine: self.engine.unwrap_or(default.engine),
            log_format: self.log_format.unwrap_or(default.log_format),
            log_level: self.log_level.unwrap_or(default.log_level),
            segment_bytes: self.segment_bytes.unwrap_or(default.segment_bytes),
            retention_check: ms(self.retention_check_ms, default.retention_check),
            coordinators: self.coordinators.unwrap_or(default.coordinators),
            rebalance_delay: ms(self.rebalance_delay_ms, default.rebalance_delay),
            tail_cache_bytes: self.tail_cache_bytes.unwrap_or(default.tail_cache_bytes),
            heartbeat: ms(self.heartbeat_ms, default.heartbeat),
            election_min: ms(self.election_min_ms, default.election_min),
            election_max: ms(self.election_max_ms, default.election_max),
            proposal_bytes_max: self.proposal_bytes_max.unwrap_or(default.proposal_bytes_max),
            produce_bytes_max: self.produce_bytes_max.unwrap_or(default.produce_bytes_max),
            fetches_max: self.fetches_max.unwrap_or(default.fetches_max),
            http_body_bytes_max: self.http_body_bytes_max.unwrap_or(default.http_body_bytes_max),
            http_requests_max: self.http_requests_max.unwrap_or(default.http_requests_max),
            http_connections_max: self.http_connections_max.unwrap_or(default.http_connections_max),
        };
        config.check()?;
        Ok(config)
    }

    /// The names, as flags and as keys of the file.
    fn keys() -> Vec<String> {
        let command = <Self as clap::Args>::augment_args(clap::Command::new("keys"));
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    }
}

impl Config {
    /// Refuses what cannot work, naming the fields in conflict.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError(why));
        if self.node_id == 0 {
            return refuse("node-id is 0: ids begin at 1".into());
        }
        if self.heartbeat.is_zero() || self.heartbeat * 2 > self.election_min {
            return refuse(format!(
                "heartbeat-ms {} and election-min-ms {}: an election timeout covers at least two \
                 heartbeats",
                self.heartbeat.as_millis(),
                self.election_min.as_millis()
            ));
        }
        if self.election_min >= self.election_max {
            return refuse(format!(
                "election-min-ms {} is not below election-max-ms {}",
                self.election_min.as_millis(),
                self.election_max.as_millis()
            ));
        }
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return refuse(format!(
                "segment-bytes {} is below {SEGMENT_BYTES_MIN}",
                self.segment_bytes
            ));
        }
        if self.retention_check < RETENTION_CHECK_MIN {
            return refuse(format!(
                "retention-check-ms {} is below {}",
                self.retention_check.as_millis(),
                RETENTION_CHECK_MIN.as_millis()
            ));
        }
        if self.coordinators == 0 || self.coordinators > COORDINATORS_MAX {
            let count = self.coordinators;
            return refuse(format!("coordinators is {count}: 1 to {COORDINATORS_MAX} are allowed"));
        }
        if self.rebalance_delay > REBALANCE_DELAY_MAX {
            return refuse(format!(
                "rebalance-delay-ms {} is above {}",
                self.rebalance_delay.as_millis(),
                REBALANCE_DELAY_MAX.as_millis()
            ));
        }
        for (name, limit) in [
            ("fetches-max", self.fetches_max),
            ("produce-bytes-max", self.produce_bytes_max),
            ("proposal-bytes-max", self.proposal_bytes_max),
            ("http-body-bytes-max", self.http_body_bytes_max),
            ("http-requests-max", self.http_requests_max),
            ("http-connections-max", self.http_connections_max),
        ] {
            if limit == 0 || limit > LIMIT_MAX {
                return refuse(format!("{name} is {limit}: 1 to {LIMIT_MAX} is allowed"));
            }
        }
        self.check_bootstrap()
    }

    fn check_bootstrap(&self) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError(why));
        match &self.bootstrap {
            Bootstrap::Join(addresses) if addresses.is_empty() => {
                refuse("join names no address".into())
            }
            Bootstrap::Join(_) => Ok(()),
            Bootstrap::Found(founders) if founders.is_empty() => Ok(()),
            Bootstrap::Found(founders) => {
                let mut ids: Vec<u64> = founders.iter().map(|founder| founder.id).collect();
                ids.sort_unstable();
                if ids.windows(2).any(|pair| pair.first() == pair.last()) {
                    return refuse("initial names a node twice".into());
                }
                if !ids.contains(&self.node_id) {
                    return refuse(format!(
                        "initial names nodes {ids:?}, but node-id is {}: a founder names itself too",
                        self.node_id
                    ));
                }
                Ok(())
            }
        }
    }
}

/// What every limit stays below: the permits of a semaphore, and the bytes of a 32-bit count.
const LIMIT_MAX: usize = 1 << 31;

impl FromStr for Founder {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, peer) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not ID=HOST:PORT"))?;
        let id = id.parse().map_err(|error| format!("{text:?}: id {id:?}: {error}"))?;
        if id == 0 {
            return Err(format!("{text:?}: ids begin at 1"));
        }
        if !peer.contains(':') {
            return Err(format!("{text:?}: {peer:?} is not HOST:PORT"));
        }
        Ok(Self { id, peer: peer.to_owned() })
    }
}

impl TryFrom<String> for Founder {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Founder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.id, self.peer)
    }
}

/// The candidate that `name` most probably means, if any is near.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this two names have little in common.
    const NEAR: f64 = 0.7;
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        overrides: Overrides,
    }

    fn flags(words: &[&str]) -> Overrides {
        Flags::try_parse_from(std::iter::once(&"ottla").chain(words)).unwrap().overrides
    }

    fn file(text: &str) -> Result<Overrides, ConfigError> {
        Overrides::from_toml(Path::new("ottla.toml"), text)
    }

    fn refusal(words: &[&str]) -> String {
        flags(words).resolve().unwrap_err().0
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        assert_eq!(Overrides::default().resolve(), Ok(Config::default()));
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = file("http = \"a:1\"\npeer = \"b:2\"").unwrap();
        let config = flags(&["--http", "c:3"]).or(file).resolve().unwrap();
        assert_eq!((config.http.as_str(), config.peer.as_str()), ("c:3", "b:2"));
        assert_eq!(config.segment_bytes, Config::default().segment_bytes);
    }

    #[test]
    fn every_flag_is_a_variable_and_a_key() {
        let command = <Overrides as clap::Args>::augment_args(clap::Command::new("t"));
        for arg in command.get_arguments() {
            let long = arg.get_long().unwrap();
            let variable = format!("OTTLA_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().unwrap().to_str(), Some(variable.as_str()));
            let value = ["0", "\"a\"", "[]", "\"segment\"", "\"text\""];
            let known = value.iter().any(|value| file(&format!("{long} = {value}")).is_ok());
            assert!(known, "{long} is not a key of the file");
        }
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest() {
        let error = file("node-id = 1\n\nsegment-byte = 5\n").unwrap_err().0;
        assert!(error.starts_with("ottla.toml:3:"), "{error}");
        assert!(error.contains("\"segment-bytes\""), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_its_line() {
        let error = file("node-id = 1\nsegment-bytes = \"big\"").unwrap_err().0;
        assert!(error.starts_with("ottla.toml:2:"), "{error}");
    }

    #[test]
    fn fields_in_conflict_are_both_named() {
        for (words, names) in [
            (["--heartbeat-ms", "500"].as_slice(), ["heartbeat-ms", "election-min-ms"]),
            (&["--election-min-ms", "2000"], ["election-min-ms", "election-max-ms"]),
            (&["--initial", "1=a:1", "--join", "b:1"], ["initial", "join"]),
            (&["--node-id", "4", "--initial", "1=a:1,2=b:1"], ["node-id", "initial"]),
        ] {
            let error = refusal(words);
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
        }
    }

    #[test]
    fn founders_are_read_and_distinct() {
        let config = flags(&["--initial", "1=a:7001,2=b:7001"]).resolve().unwrap();
        let founder = |id, peer: &str| Founder { id, peer: peer.into() };
        let expected = Bootstrap::Found(vec![founder(1, "a:7001"), founder(2, "b:7001")]);
        assert_eq!(config.bootstrap, expected);
        assert!(refusal(&["--initial", "1=a:1,1=b:1"]).contains("twice"));
        for bad in ["a:1", "0=a:1", "x=a:1", "1=a"] {
            assert!(bad.parse::<Founder>().is_err(), "{bad}");
        }
    }
}
