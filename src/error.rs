//! Every error a caller can see: one row each. The status, the code (REST Proxy v2's where it has one),
//! Kafka's name, whether a retry can help, and what became of a write.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What an error says of the write that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteOutcome {
    /// Certainly not in the log, and never will be.
    NotAppended,
    /// May be, or may become, committed.
    Unknown,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// HTTP status.
    pub status: u16,
    /// `error_code` of the body; the status in front where it is above 999.
    pub code: u32,
    /// Kafka's name of it.
    pub kafka: &'static str,
    /// Whether the same request can succeed later.
    pub retriable: bool,
    /// What became of a write.
    pub outcome: WriteOutcome,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $kind:ident = $status:literal $code:literal $kafka:ident $retriable:ident $outcome:ident;)*) => {
        /// The kinds of error; [`ErrorKind::row`] gives what the caller sees.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorKind { $($(#[$doc])* $kind,)* }

        impl ErrorKind {
            /// Every kind, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// What the caller sees of it.
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$kind => Row {
                        status: $status,
                        code: $code,
                        kafka: stringify!($kafka),
                        retriable: rows!(@ $retriable),
                        outcome: WriteOutcome::$outcome,
                    },)*
                }
            }
        }
    };
    (@ final) => { false };
    (@ retriable) => { true };
}

rows! {
    /// A parameter or header that cannot be read.
    InvalidRequest     = 400 40001 INVALID_REQUEST final NotAppended;
    /// Partitions, replication factor or configuration out of bounds.
    InvalidSettings    = 400 40002 INVALID_CONFIG final NotAppended;
    /// A body that is not the JSON it should be; the message gives line and column.
    MalformedJson      = 400 40003 INVALID_REQUEST final NotAppended;
    /// A record batch that is damaged or not one.
    CorruptBatch       = 400 40004 CORRUPT_MESSAGE final NotAppended;
    /// A topic name that is not allowed.
    InvalidTopic       = 400 40005 INVALID_TOPIC_EXCEPTION final NotAppended;
    /// A name of a group, member or instance that is not allowed.
    InvalidGroup       = 400 40006 INVALID_GROUP_ID final NotAppended;
    /// A later epoch of this idempotent producer has written; the answer says which.
    ProducerFenced     = 403 40347 INVALID_PRODUCER_EPOCH final NotAppended;
    /// No such route.
    NotFound           = 404 404   NONE final NotAppended;
    /// No such topic.
    UnknownTopic       = 404 40401 UNKNOWN_TOPIC_OR_PARTITION final NotAppended;
    /// No such partition of the topic.
    UnknownPartition   = 404 40402 UNKNOWN_TOPIC_OR_PARTITION final NotAppended;
    /// No such member of the group, or no longer.
    UnknownMember      = 404 40403 UNKNOWN_MEMBER_ID final NotAppended;
    /// No such group.
    UnknownGroup       = 404 40405 GROUP_ID_NOT_FOUND final NotAppended;
    /// No such broker.
    UnknownBroker      = 404 40406 BROKER_NOT_AVAILABLE final NotAppended;
    /// No such cluster.
    UnknownCluster     = 404 40407 INVALID_REQUEST final NotAppended;
    /// No such setting.
    UnknownSetting     = 404 40408 INVALID_CONFIG final NotAppended;
    /// The route exists, the method does not.
    MethodNotAllowed   = 405 405   INVALID_REQUEST final NotAppended;
    /// None of the types the caller accepts.
    NotAcceptable      = 406 40601 INVALID_REQUEST final NotAppended;
    /// The request did not arrive in time.
    SlowRequest        = 408 40802 REQUEST_TIMED_OUT retriable NotAppended;
    /// The group has a member of that id.
    MemberExists       = 409 40902 INVALID_REQUEST final NotAppended;
    /// What a consumer instance was told does not go together: subscribed and assigned, or neither.
    IllegalState       = 409 40903 INVALID_REQUEST final NotAppended;
    /// The topic exists with other settings.
    TopicExists        = 409 40904 TOPIC_ALREADY_EXISTS final NotAppended;
    /// The member's generation is not the one the coordinator knows it by.
    StaleGeneration    = 409 40905 ILLEGAL_GENERATION final NotAppended;
    /// Another process took the static member's place.
    FencedInstance     = 409 40906 FENCED_INSTANCE_ID final NotAppended;
    /// The partition does not belong to who commits it.
    NotOwner           = 409 40907 STALE_MEMBER_EPOCH final NotAppended;
    /// The group has members.
    GroupNotEmpty      = 409 40908 NON_EMPTY_GROUP final NotAppended;
    /// The topic's cleanup policy says otherwise.
    PolicyViolation    = 409 40909 POLICY_VIOLATION final NotAppended;
    /// Not the next batch of this idempotent producer, nor one of its last; the answer says what is due.
    OutOfOrderSequence = 409 40945 OUT_OF_ORDER_SEQUENCE_NUMBER final NotAppended;
    /// A conditional append found another end of the log.
    EndMoved           = 412 41201 INVALID_REQUEST final NotAppended;
    /// The body is larger than the limit.
    BodyTooLarge       = 413 41301 MESSAGE_TOO_LARGE final NotAppended;
    /// A record or batch is larger than the topic allows.
    RecordTooLarge     = 413 41302 MESSAGE_TOO_LARGE final NotAppended;
    /// The body inflates to more than the limit.
    InflatedTooLarge   = 413 41303 MESSAGE_TOO_LARGE final NotAppended;
    /// A content type or encoding that is not taken here.
    UnsupportedType    = 415 41501 INVALID_REQUEST final NotAppended;
    /// Outside the valid range, which the message and the headers give.
    OffsetOutOfRange   = 416 41601 OFFSET_OUT_OF_RANGE final NotAppended;
    /// A value that is not what its format says (not base64, not JSON).
    NotConvertible     = 422 42203 INVALID_RECORD final NotAppended;
    /// An option of a consumer instance that cannot be.
    InvalidConsumer    = 422 42204 INVALID_CONFIG final NotAppended;
    /// A record that its topic does not take: one without a key, where the topic is compacted.
    InvalidRecord      = 422 42206 INVALID_RECORD final NotAppended;
    /// An `Idempotency-Key` that belongs to another request.
    KeyReused          = 422 42209 INVALID_REQUEST final NotAppended;
    /// Too many requests, or too many bytes waiting.
    Busy               = 429 42901 THROTTLING_QUOTA_EXCEEDED retriable NotAppended;
    /// A group or its coordinator holds as much as it can; the message names the limit.
    GroupFull          = 429 42902 GROUP_MAX_SIZE_REACHED retriable NotAppended;
    /// Header fields beyond the limit.
    HeadersTooLarge    = 431 43101 INVALID_REQUEST final NotAppended;
    /// A bug of ours.
    Internal           = 500 50001 UNKNOWN_SERVER_ERROR final Unknown;
    /// The partition has no leader right now.
    NoLeader           = 503 50301 LEADER_NOT_AVAILABLE retriable NotAppended;
    /// A broker that is needed cannot be reached.
    BrokerUnavailable  = 503 50302 BROKER_NOT_AVAILABLE retriable NotAppended;
    /// This node is shutting down.
    ShuttingDown       = 503 50303 BROKER_NOT_AVAILABLE retriable NotAppended;
    /// The partition is stopped on its leader: its disk failed or its log is damaged.
    PartitionBroken    = 503 50304 KAFKA_STORAGE_ERROR retriable NotAppended;
    /// The cluster has no metadata leader right now, or the node has not joined yet.
    NotReady           = 503 50305 COORDINATOR_NOT_AVAILABLE retriable NotAppended;
    /// Fewer replicas are in sync than the topic asks for.
    NotEnoughReplicas  = 503 50306 NOT_ENOUGH_REPLICAS retriable NotAppended;
    /// It may have been done, or not: leadership was lost, or time ran out.
    OutcomeUnknown     = 504 50401 REQUEST_TIMED_OUT retriable Unknown;
    /// A read could not be confirmed or answered in time.
    ReadTimedOut       = 504 50402 REQUEST_TIMED_OUT retriable NotAppended;
}

/// An error on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Its row.
    pub kind: ErrorKind,
    /// Names the thing and the limit.
    pub message: String,
    /// The valid range of offsets, with [`ErrorKind::OffsetOutOfRange`]; the end with `EndMoved`.
    pub range: Option<(u64, u64)>,
    /// When a retry makes sense.
    pub retry_after: Option<Duration>,
    /// What an idempotent producer needs to go on.
    pub due: Option<Due>,
}

/// What an idempotent producer was not, and should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Due {
    /// At this sequence number; with [`ErrorKind::OutOfOrderSequence`].
    Sequence(i32),
    /// At this epoch at least; with [`ErrorKind::ProducerFenced`].
    Epoch(i16),
}

impl Error {
    /// An error of a kind, with its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), range: None, retry_after: None, due: None }
    }

    /// With the valid range of offsets, `start..end`.
    #[must_use]
    pub fn with_range(mut self, start: u64, end: u64) -> Self {
        self.range = Some((start, end));
        self
    }

    /// With the time after which a retry makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With what an idempotent producer needs to go on.
    #[must_use]
    pub fn with_due(mut self, due: Due) -> Self {
        self.due = Some(due);
        self
    }

    /// Its row.
    pub fn row(&self) -> Row {
        self.kind.row()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
