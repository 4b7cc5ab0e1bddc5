//! What a request's path and query name, read once and refused with the name of what is wrong.

use crate::coordinator::{GroupName, MemberId};
use crate::error::{Error, ErrorKind};
use crate::topic::{PartitionId, TopicName};
use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A topic of the path.
pub(super) struct AtTopic(pub(super) TopicName);

/// A partition of the path.
pub(super) struct AtPartition(pub(super) TopicName, pub(super) PartitionId);

/// A consumer group of the path.
pub(super) struct AtGroup(pub(super) GroupName);

/// A member of a consumer group of the path.
pub(super) struct AtMember(pub(super) GroupName, pub(super) MemberId);

/// A query string; names that it does not have are refused where its type says so.
pub(super) struct Asks<T>(pub(super) T);

/// Any parameters of the path.
pub(super) struct Named(RawPathParams);

impl Named {
    /// The one of this name.
    pub(super) fn get(&self, name: &str) -> Result<&str, Error> {
        let found = self.0.iter().find(|(each, _)| *each == name).map(|(_, value)| value);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the path names no {name}")))
    }

    /// The topic.
    pub(super) fn topic(&self) -> Result<TopicName, Error> {
        TopicName::new(self.get("topic")?)
    }

    /// The consumer group.
    pub(super) fn group(&self) -> Result<GroupName, Error> {
        GroupName::new(self.get("group")?)
    }

    /// The group's member.
    pub(super) fn member(&self) -> Result<MemberId, Error> {
        MemberId::new(self.get("member")?)
    }

    /// The partition.
    pub(super) fn partition(&self) -> Result<PartitionId, Error> {
        let text = self.get("partition")?;
        text.parse().map(PartitionId).map_err(|_not_a_number| {
            let message = format!("partition {text:?} of the path is not a number from 0");
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        RawPathParams::from_request_parts(parts, state).await.map(Self).map_err(|rejection| {
            Error::new(ErrorKind::InvalidRequest, format!("path: {}", rejection.body_text()))
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtTopic {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Ok(Self(Named::from_request_parts(parts, state).await?.topic()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtPartition {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let named = Named::from_request_parts(parts, state).await?;
        Ok(Self(named.topic()?, named.partition()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtGroup {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Ok(Self(Named::from_request_parts(parts, state).await?.group()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtMember {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let named = Named::from_request_parts(parts, state).await?;
        Ok(Self(named.group()?, named.member()?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asks<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let Query(value) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            Error::new(ErrorKind::InvalidRequest, format!("query: {}", rejection.body_text()))
        })?;
        Ok(Self(value))
    }
}
