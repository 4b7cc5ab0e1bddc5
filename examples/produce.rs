//! A producer with nothing but HTTP: one request, some records, an offset for each.
//!
//! ```sh
//! ottla demo &
//! ottla topic create orders -p 3
//! cargo run --example produce -- orders
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it got")]
#![allow(clippy::indexing_slicing, reason = "a field that a JSON value does not have is null")]

use serde_json::{Value, json};
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().nth(1).unwrap_or_else(|| "orders".to_owned());
    let server = std::env::var("OTTLA_SERVER").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());

    // A record with a key goes to the key's partition, so that ada's orders stay in order.
    let records = json!({ "records": [
        { "key": "ada", "value": { "item": "tea", "count": 2 } },
        { "key": "bob", "value": { "item": "bread", "count": 1 } },
        { "key": "ada", "value": { "item": "milk", "count": 1 }, "headers": { "source": "example" } },
    ]});

    let url = format!("http://{server}/v1/topics/{topic}/records");
    let answer = reqwest::Client::new().post(url).json(&records).send().await?;
    let status = answer.status();
    let answer: Value = answer.json().await?;
    if !status.is_success() {
        // `outcome` says whether the records are certainly not there, or may be.
        return Err(format!("{status}: {} ({})", answer["message"], answer["outcome"]).into());
    }
    // With 207 some records were appended and others not; each row says which.
    for row in answer["offsets"].as_array().into_iter().flatten() {
        println!(
            "partition {} offset {} error {}",
            row["partition"], row["offset"], row["message"]
        );
    }
    Ok(())
}
