//! Doing what was asked, on this node and nowhere else: an answer, or word that it is not for us.

use super::Inner;
use super::intake::take_in;
use super::request::{Durability, Produced};
use super::route::Errand;
use super::wire::{Ask, Miss, Reply};
use crate::error::{Due, Error, ErrorKind};
use crate::metadata::{METADATA_GROUP, Settings};
use crate::partition::{self, Append, Partition, Reading, Receipt, Refused};
use crate::producers::Refusal;
use raft::{Acks, Appended, FlushPolicy, NodeId, NotAppended, Offset, Outcome, Role};
use std::time::Duration;
use storage::batch::RecordBatch;
use storage::planted;
use tokio::time::{Instant, sleep};

/// When a proposal that found the queue full may come again.
const BUSY_RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long a write waits for replicas to be in sync: a new leader has not heard of all at first.
const IN_SYNC_PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at that.
const IN_SYNC_LOOK: Duration = Duration::from_millis(20);

impl Inner {
    /// Answers an errand from what is on this node.
    pub(super) async fn perform(&self, errand: &Errand) -> Result<Reply, Miss> {
        match &errand.ask {
            Ask::Produce { acks, expected_end } => {
                self.append(errand, *acks, expected_end.map(Offset::new)).await
            }
            Ask::Fetch { from, bytes_max, bytes_min, wait, freshness } => {
                let now = Instant::now();
                let (partition, settings) = self.partition(errand)?;
                let reading = Reading {
                    from: *from,
                    bytes_max: usize::try_from(*bytes_max).unwrap_or(usize::MAX),
                    bytes_min: usize::try_from(*bytes_min).unwrap_or(usize::MAX),
                    wait_until: (now + *wait).min(errand.deadline),
                    freshness: *freshness,
                    deadline: errand.deadline,
                    skips_removed: settings.is_compacted_only(),
                };
                let found = partition.fetch(reading).await;
                found.map(Reply::Fetched).map_err(|refused| self.missed(errand, refused))
            }
            Ask::Tail { freshness } => {
                let (partition, _) = self.partition(errand)?;
                let tail = partition.tail(*freshness, errand.deadline).await;
                tail.map(Reply::Tail).map_err(|refused| self.missed(errand, refused))
            }
            Ask::Trim { offset } => self.trim_here(errand, Offset::new(*offset)).await,
            Ask::Administer(change) => {
                self.administer(change, errand.deadline).await.map(Reply::Changed)
            }
            Ask::Status { groups } => Ok(Reply::Status(self.status(groups.as_deref()).await)),
            Ask::Settle { revision, groups } => {
                self.settle_here(*revision, groups, errand.deadline).await?;
                Ok(Reply::Settled)
            }
            Ask::Group(ask) => self.perform_group(errand, ask).await,
        }
    }

    async fn append(
        &self,
        errand: &Errand,
        acks: Acks,
        expected_end: Option<Offset>,
    ) -> Result<Reply, Miss> {
        let (partition, settings) = self.partition(errand)?;
        let policy = settings.flush();
        let payload = errand.payload.clone().unwrap_or_default();
        if acks == Acks::Quorum {
            await_in_sync(errand, &partition, settings.in_sync_min()).await?;
        }
        let batch = RecordBatch::stored(payload)
            .map_err(|error| Error::new(ErrorKind::CorruptBatch, error.to_string()))?;
        let batch = take_in(&errand.name, batch, &settings).await?;
        super::check_batch_size(&errand.name, batch.bytes().len(), settings.batch_bytes_max())?;
        let sequenced = batch.sequenced();
        let append = Append { batch, acks, expected_end, deadline: errand.deadline };
        let receipt = match sequenced {
            None => Receipt::Outcome(partition.append(append).await),
            Some(sequenced) => {
                let kept = self.replicated().get(&errand.group).cloned();
                let kept = kept.ok_or_else(Miss::nobody)?;
                partition.append_once(append, sequenced, &kept.producers).await
            }
        };
        let (base_offset, term, duplicate) = match receipt {
            Receipt::Outcome(outcome) => {
                let appended = self.appended(errand, outcome)?;
                (appended.base_offset, appended.position.term, false)
            }
            Receipt::Duplicate { base_offset, term } => (base_offset, term, true),
            Receipt::Refused(why) => return Err(out_of_sequence(errand, why).into()),
        };
        Ok(Reply::Produced(Produced {
            base_offset: match acks {
                Acks::None => 0,
                Acks::Quorum | Acks::Leader if planted!(OffsetOffByOne) && term.get() > 1 => {
                    base_offset.get() + 1
                }
                Acks::Quorum | Acks::Leader => base_offset.get(),
            },
            leader: self.node.id(),
            leader_epoch: term.get(),
            durability: promised(acks, policy),
            duplicate,
        }))
    }

    async fn trim_here(&self, errand: &Errand, offset: Offset) -> Result<Reply, Miss> {
        let (partition, settings) = self.partition(errand)?;
        if settings.is_compacted_only() {
            let message = format!("{}: cleanup.policy=compact removes by key only", errand.name);
            return Err(Error::new(ErrorKind::PolicyViolation, message).into());
        }
        let missed = |refused| self.missed(errand, refused);
        let outcome = partition.trim(offset, errand.deadline).await.map_err(missed)?;
        self.appended(errand, outcome)?;
        let tail = partition.tail(partition::Freshness::Leader, errand.deadline).await;
        // It is trimmed. Who leads now, if no longer we, has the tail.
        tail.map(Reply::Tail).map_err(|refused| match self.missed(errand, refused) {
            Miss::NotLeader { .. } => Miss::Failed(unknown(errand, "leadership was lost")),
            failed @ Miss::Failed(_) => failed,
        })
    }

    /// The replica of the errand's group that is here, and what is set on its topic.
    fn partition(&self, errand: &Errand) -> Result<(Partition, Settings), Miss> {
        let image = self.image();
        let Some((_, _, topic, placed)) = image.group(errand.group) else {
            return Err(if image.is_deleted(errand.group) {
                Error::new(ErrorKind::UnknownTopic, format!("{} was deleted", errand.name)).into()
            } else {
                Miss::nobody()
            });
        };
        match self.node.group(errand.group) {
            Some(group) => Ok((Partition::new(group, self.node.id()), topic.settings.clone())),
            None if placed.replicas == [self.node.id()] && self.is_broken(errand.group) => {
                Err(broken(errand, "its only replica cannot be opened").into())
            }
            None => Err(Miss::nobody()),
        }
    }

    /// What an outcome says to the caller. Whatever is definite and not final goes elsewhere.
    pub(super) fn appended(&self, errand: &Errand, outcome: Outcome) -> Result<Appended, Miss> {
        let why = match outcome {
            Outcome::Appended(appended) => return Ok(appended),
            Outcome::Unknown(why) => return Err(unknown(errand, &why).into()),
            Outcome::NotAppended(why) => why,
        };
        Err(match why {
            NotAppended::NotLeader { leader } => self.elsewhere(leader),
            NotAppended::Conflict { end } => {
                let message = format!("{} ends at offset {end}", errand.name);
                let start = self.log_start(errand).min(end.get());
                Error::new(ErrorKind::EndMoved, message).with_range(start, end.get()).into()
            }
            NotAppended::Busy => {
                let message = format!("{}: too many bytes wait to be committed", errand.name);
                Error::new(ErrorKind::Busy, message).with_retry_after(BUSY_RETRY_AFTER).into()
            }
            NotAppended::Broken(why) => self.broken_here(errand, &why),
            NotAppended::ShuttingDown => Miss::nobody(),
        })
    }

    fn missed(&self, errand: &Errand, refused: Refused) -> Miss {
        match refused {
            Refused::NotLeader { leader } => self.elsewhere(leader),
            Refused::OutOfRange { offset, start, end } => {
                let message = format!("{}: offset {offset} is not in {start}..={end}", errand.name);
                Error::new(ErrorKind::OffsetOutOfRange, message).with_range(start, end).into()
            }
            Refused::TimedOut => {
                let message = format!("{}: leadership could not be confirmed in time", errand.name);
                Error::new(ErrorKind::ReadTimedOut, message).into()
            }
            Refused::Broken(why) => self.broken_here(errand, &why),
        }
    }

    /// A broken replica: another takes over, if there is one.
    pub(super) fn broken_here(&self, errand: &Errand, why: &str) -> Miss {
        let image = self.image();
        match image.placed(errand.group) {
            Some(placed) if placed.replicas.len() > 1 => Miss::nobody(),
            Some(_) | None => broken(errand, why).into(),
        }
    }

    /// Word of who leads, with its address for those who do not know it.
    pub(super) fn elsewhere(&self, leader: Option<NodeId>) -> Miss {
        let leader = leader.filter(|leader| *leader != self.node.id());
        let image = self.image();
        let address = leader.and_then(|leader| image.broker(leader)).map(|b| b.peer.clone());
        Miss::NotLeader { leader, address }
    }

    fn log_start(&self, errand: &Errand) -> u64 {
        self.node.group(errand.group).map_or(0, |group| group.watermark().log_start.get())
    }

    /// The metadata group's leader is asked only while it serves.
    pub(super) fn leads_metadata(&self) -> Result<(), Miss> {
        match self.metadata.role() {
            Role::Leading { .. } => Ok(()),
            Role::Following { .. } | Role::Electing { .. } | Role::Taking { .. } => {
                Err(self.elsewhere(self.metadata.leader()))
            }
        }
    }

    fn is_broken(&self, group: raft::GroupId) -> bool {
        group != METADATA_GROUP && self.node.broken().iter().any(|(broken, _)| *broken == group)
    }
}

/// Refuses a write by quorum, before it is proposed, while too few replicas are in sync.
async fn await_in_sync(errand: &Errand, partition: &Partition, least: usize) -> Result<(), Error> {
    if least <= 1 {
        return Ok(());
    }
    let until = errand.deadline.min(Instant::now() + IN_SYNC_PATIENCE);
    loop {
        // Who does not lead says so when it is asked to append.
        let Some(in_sync) = partition.in_sync() else { return Ok(()) };
        if in_sync >= least {
            return Ok(());
        }
        if Instant::now() >= until {
            let message = format!(
                "{}: {in_sync} replicas are in sync; min.insync.replicas is {least}",
                errand.name
            );
            return Err(Error::new(ErrorKind::NotEnoughReplicas, message));
        }
        sleep(IN_SYNC_LOOK).await;
    }
}

fn promised(acks: Acks, policy: FlushPolicy) -> Durability {
    match acks {
        Acks::None => Durability::None,
        Acks::Leader => Durability::Leader,
        Acks::Quorum if partition::is_durable(policy) => Durability::QuorumFsync,
        Acks::Quorum => Durability::Quorum,
    }
}

fn out_of_sequence(errand: &Errand, why: Refusal) -> Error {
    let message = format!("{}: {why}", errand.name);
    match why {
        Refusal::Fenced { epoch } => {
            Error::new(ErrorKind::ProducerFenced, message).with_due(Due::Epoch(epoch))
        }
        Refusal::Gap { due } | Refusal::Stale { due } => {
            Error::new(ErrorKind::OutOfOrderSequence, message).with_due(Due::Sequence(due))
        }
        Refusal::OtherRequest { .. } => Error::new(ErrorKind::KeyReused, message),
    }
}

fn unknown(errand: &Errand, why: &str) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, format!("{}: {why}", errand.name))
}

fn broken(errand: &Errand, why: &str) -> Error {
    Error::new(ErrorKind::PartitionBroken, format!("{} is stopped: {why}", errand.name))
}
