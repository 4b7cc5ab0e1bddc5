//! The receiving end of `network`: a peer's request to one group, and the reply.

use crate::adapter::codec::{self, Kind};
use crate::group::Inner;
use bytes::Bytes;
use openraft::raft::{AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use serde::Serialize;
use std::fmt::Display;

/// Asks the group's core and encodes what it says. A refusal makes the peer back off.
pub(crate) async fn serve(group: &Inner, kind: Kind, body: Bytes) -> Vec<Bytes> {
    let raft = &group.raft;
    match kind {
        Kind::Append => match codec::decode_append(body) {
            Ok(request) => {
                let answer = raft.append_entries(request).await;
                match &answer {
                    // Of an older term: not our leader.
                    Ok(AppendEntriesResponse::HigherVote(_)) | Err(_) => {}
                    Ok(
                        AppendEntriesResponse::Success
                        | AppendEntriesResponse::PartialSuccess(_)
                        | AppendEntriesResponse::Conflict,
                    ) => group.pulse.hear(),
                }
                reply(answer)
            }
            Err(error) => refuse(error),
        },
        Kind::Vote => match storage::codec::decode::<VoteRequest<_>>(&body) {
            Ok(request) => reply(raft.vote(request).await),
            Err(error) => refuse(error),
        },
        Kind::PreVote => match storage::codec::decode::<VoteRequest<_>>(&body) {
            Ok(request) => reply(raft.pre_vote(request).await),
            Err(error) => refuse(error),
        },
        Kind::TransferLeader => match storage::codec::decode::<TransferLeaderRequest<_>>(&body) {
            Ok(request) => reply(raft.handle_transfer_leader(request).await),
            Err(error) => refuse(error),
        },
        Kind::Marker => match storage::codec::decode::<codec::Marker>(&body) {
            Ok(marker) => {
                let snapshot = marker.checkpoint.snapshot();
                reply(raft.install_full_snapshot(marker.vote, snapshot).await)
            }
            Err(error) => refuse(error),
        },
    }
}

fn reply<T: Serialize>(answer: Result<T, impl Display>) -> Vec<Bytes> {
    codec::encode_reply(answer.map_err(|error| error.to_string()))
}

/// Says why there is no answer.
pub(crate) fn refuse(why: impl Display) -> Vec<Bytes> {
    codec::encode_reply::<()>(Err(why.to_string()))
}
