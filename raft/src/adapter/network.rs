//! `RaftNetworkV2` over the transport: what a replica asks of its peers.
//!
//! Votes, pre-votes, heartbeats and leadership transfers take the control lane, entries and markers the
//! data lane, so a full data connection never costs an election. Each request has a deadline of its own:
//! openraft's is too short for a large batch on a slow disk, and without one a hung peer would hold up
//! the purge for ever.

use crate::Timing;
use crate::adapter::checkpoint::Checkpoint;
use crate::adapter::codec::{self, Kind};
use crate::adapter::config::{Types, Vote};
use crate::transport::{CallError, Lane, NodeId, Transport};
use bytes::Bytes;
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::EmptyNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;
use std::time::Duration;
use storage::GroupId;
use tokio::time::Instant;

/// A follower answers entries when they are on its disk; a disk may stall for seconds.
const APPEND_WITHIN: Duration = Duration::from_secs(5);
/// A marker is at most 16 MiB and made durable before it is answered.
const MARKER_WITHIN: Duration = Duration::from_secs(10);

/// Makes a client per peer for one group.
#[derive(Clone)]
pub(crate) struct Network {
    transport: Transport,
    group: GroupId,
    timing: Timing,
}

impl Network {
    pub(crate) fn new(transport: Transport, group: GroupId, timing: Timing) -> Self {
        Self { transport, group, timing }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        Peer { network: self.clone(), target: NodeId(target) }
    }
}

/// One peer of one group.
pub(crate) struct Peer {
    network: Network,
    target: NodeId,
}

impl Peer {
    async fn ask<T: DeserializeOwned>(
        &self,
        lane: Lane,
        kind: Kind,
        body: Vec<Bytes>,
        within: Duration,
    ) -> Result<T, RPCError<Types>> {
        let Network { transport, group, .. } = &self.network;
        let deadline = Instant::now() + within;
        let reply = transport
            .call(self.target, lane, kind.byte(), *group, body, deadline)
            .await
            .map_err(|error| match error {
                // It backs off, ...
                CallError::NotSent { .. } => Unreachable::from_string(error).into(),
                // ... or tries again: the peer was there.
                CallError::Unanswered { .. } => RPCError::Network(NetworkError::from_string(error)),
            })?;
        match codec::decode_reply(&reply) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(Unreachable::from_string(why).into()),
            Err(error) => Err(Unreachable::from_string(error).into()),
        }
    }

    async fn control<T: DeserializeOwned>(
        &self,
        kind: Kind,
        request: &(impl Serialize + Sync),
    ) -> Result<T, RPCError<Types>> {
        let body = vec![storage::codec::encode(request).into()];
        self.ask(Lane::Control, kind, body, self.network.timing.election_min).await
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Box<Checkpoint>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let lane = if request.entries.is_empty() { Lane::Control } else { Lane::Data };
        self.ask(lane, Kind::Append, codec::encode_append(request), APPEND_WITHIN).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.control(Kind::Vote, &request).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.control(Kind::PreVote, &request).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Box<Checkpoint>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let marker = codec::Marker { vote, checkpoint: *snapshot.snapshot };
        let body = vec![storage::codec::encode(&marker).into()];
        tokio::select! {
            answer = self.ask(Lane::Data, Kind::Marker, body, MARKER_WITHIN) => Ok(answer?),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.control(Kind::TransferLeader, &request).await
    }
}
