//! A consumer that follows all partitions of a topic with nothing but HTTP: one long poll each. It
//! goes on through broker failures without losing or repeating a record: an answer moves the position
//! on only after it was printed, and any other broker can be asked for the next one.
//!
//! ```sh
//! cargo run --example tail -- orders
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it got")]
#![allow(clippy::indexing_slicing, reason = "a field that a JSON value does not have is null")]

use serde_json::Value;
use std::error::Error;
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two rounds over all brokers, when none of them could answer.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).unwrap_or_else(|| "orders".to_owned());
    let server = std::env::var("OTTLA_SERVER").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let http = reqwest::Client::new();

    // Any broker tells of all others.
    let list: Value = http.get(format!("http://{server}/v1/brokers")).send().await?.json().await?;
    let brokers = list["brokers"].as_array().into_iter().flatten();
    let brokers: Vec<String> =
        brokers.filter_map(|broker| Some(broker["http"].as_str()?.to_owned())).collect();

    let view = http.get(format!("http://{server}/v1/topics/{topic}")).send().await?;
    let view: Value = view.error_for_status()?.json().await?;
    let partitions = view["partitions"].as_array().map_or(0, Vec::len);

    let mut tails = JoinSet::new();
    for partition in 0..partitions {
        let path = format!("/v1/topics/{topic}/partitions/{partition}/records");
        tails.spawn(follow(http.clone(), brokers.clone(), path));
    }
    tails.join_all().await;
    Ok(())
}

/// Prints what comes, for ever.
async fn follow(http: reqwest::Client, brokers: Vec<String>, path: String) {
    let mut next = "earliest".to_owned();
    loop {
        let mut answered = false;
        for broker in &brokers {
            while let Some((page, offset)) = page(&http, broker, &path, &next).await {
                for record in page["records"].as_array().into_iter().flatten() {
                    println!("{record}");
                }
                next = offset;
                answered = true;
            }
        }
        if !answered {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The records from an offset on, as soon as there are some, and where to go on.
async fn page(
    http: &reqwest::Client,
    broker: &str,
    path: &str,
    offset: &str,
) -> Option<(Value, String)> {
    let url = format!("http://{broker}{path}?offset={offset}&wait_ms=10000");
    let answer = http.get(url).timeout(Duration::from_secs(15)).send().await.ok()?;
    let next = answer.headers().get("next-offset")?.to_str().ok()?.to_owned();
    Some((answer.error_for_status().ok()?.json().await.ok()?, next))
}
