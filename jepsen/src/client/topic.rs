//! What is said about topics and how much of them is kept.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Client, Failure, refused, unsent};
use crate::history::Key;

/// Whether an order changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It did.
    Now,
    /// It was so already.
    Before,
}

impl Client {
    /// The topic that everything is about.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Creates a topic with one partition.
    pub async fn create_topic(&self, node: u8, name: &str) -> Result<Done, Failure> {
        let path = self.timed(&format!("topics/{name}"));
        let request = self.at(Method::PUT, node, &path).json(&json!({"partitions": 1}));
        ordered(request, StatusCode::CREATED, &[StatusCode::OK, StatusCode::CONFLICT]).await
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, node: u8, name: &str) -> Result<Done, Failure> {
        let path = self.timed(&format!("topics/{name}"));
        let request = self.at(Method::DELETE, node, &path);
        ordered(request, StatusCode::NO_CONTENT, &[StatusCode::NOT_FOUND]).await
    }

    /// Gives a topic more partitions.
    pub async fn add_partitions(&self, node: u8, name: &str, count: u32) -> Result<(), Failure> {
        let path = self.timed(&format!("topics/{name}"));
        let request = self.at(Method::PATCH, node, &path).json(&json!({"partitions": count}));
        ordered(request, StatusCode::OK, &[]).await.map(drop)
    }

    /// Changes a setting of the topic that everything is about.
    pub async fn set(&self, node: u8, name: &str, value: &str) -> Result<(), Failure> {
        let path = self.timed(&format!("topics/{}/config", self.topic));
        let change: Value = [(name, value)].into_iter().collect();
        ordered(self.at(Method::PATCH, node, &path).json(&change), StatusCode::OK, &[])
            .await
            .map(drop)
    }

    /// Removes what a partition has before an offset.
    pub async fn trim(&self, node: u8, key: Key, offset: u64) -> Result<(), Failure> {
        let rest = self.timed("/trim");
        let request = self.request(Method::POST, node, key, &rest).json(&json!({"offset": offset}));
        ordered(request, StatusCode::OK, &[]).await.map(drop)
    }
}

async fn ordered(
    request: RequestBuilder,
    good: StatusCode,
    before: &[StatusCode],
) -> Result<Done, Failure> {
    let answer = request.send().await.map_err(|error| unsent(&error))?;
    match answer.status() {
        status if status == good => Ok(Done::Now),
        status if before.contains(&status) => Ok(Done::Before),
        _ => Err(refused(answer).await),
    }
}
