//! The calls of who looks after consumer groups: list, describe, reset, delete.

use super::{Call, Client, Error};
use crate::broker::{GroupSummary, GroupView, ResetRow};
use crate::path::segment;
use reqwest::Method;
use serde::{Deserialize, Serialize};

/// Where a group's offsets are to be put, as `/v1/groups/{group}/reset` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetTo {
    /// To the log start.
    Earliest,
    /// To the end.
    Latest,
    /// To this offset, or the nearest there is.
    Offset(u64),
    /// To the first record of this time (ms) or later.
    Timestamp(i64),
    /// So many records on, or back.
    Shift(i64),
}

/// A reset, or what one would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reset {
    /// Where to.
    pub to: ResetTo,
    /// In these topics; everywhere that something is committed, if there are none.
    pub topics: Vec<String>,
    /// Only tell.
    pub dry_run: bool,
}

fn path(group: &str, what: &str) -> String {
    format!("/v1/groups/{}{what}", segment(group))
}

impl Client {
    /// All consumer groups.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, Error> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<GroupSummary>,
        }
        let Groups { groups } = self.call(&Call::get("/v1/groups")).await?.json()?;
        Ok(groups)
    }

    /// A consumer group, whole.
    pub async fn describe_group(&self, group: &str) -> Result<GroupView, Error> {
        self.call(&Call::get(path(group, ""))).await?.json()
    }

    /// Puts a group's offsets elsewhere, or tells what that would do.
    pub async fn reset_group(&self, group: &str, reset: &Reset) -> Result<Vec<ResetRow>, Error> {
        #[derive(Deserialize)]
        struct Done {
            offsets: Vec<ResetRow>,
        }
        let call = Call::new(Method::POST, path(group, "/reset")).json(reset);
        let Done { offsets } = self.call(&call).await?.json()?;
        Ok(offsets)
    }

    /// Deletes a group that has no members.
    pub async fn delete_group(&self, group: &str) -> Result<(), Error> {
        self.call(&Call::new(Method::DELETE, path(group, ""))).await.map(drop)
    }
}
