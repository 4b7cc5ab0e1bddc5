//! The cells of the table: what is sent, by how many, and what is measured of it.

use crate::connection::post;
use crate::consume;
use crate::drive::{Client, Driven, drive};
use crate::harness::Cluster;
use crate::roof;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use storage::batch::{BatchBuilder, Compression};

const WARM: Duration = Duration::from_secs(1);
/// Different requests a client sends in turn.
const REQUESTS: usize = 8;
const VALUE_BYTES: usize = 100;
const KEYS: u32 = 1000;
/// What ready-made batches are filled up to.
const BATCH_BYTES: usize = 64 * 1024;
const JSON: &str = "application/json";
const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";

/// What a client sends.
#[derive(Clone, Copy)]
enum Sends {
    /// So many records as JSON to the topic, through whatever node: the node finds the partitions.
    Json { records: usize, keys: bool },
    /// A ready-made batch to one partition each, at its leader, as a client does that knows it.
    Batches,
}

pub struct Cell {
    pub name: &'static str,
    partitions: u32,
    clients: usize,
    sends: Sends,
}

/// A line of the table. Fractions are of the roofs measured with it.
#[derive(Serialize)]
pub struct Line {
    pub cell: &'static str,
    pub partitions: u32,
    pub clients: usize,
    pub records_per_second: f64,
    pub megabytes_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// CPU seconds for a million records: of the three nodes, and of the clients.
    pub node_cpu_per_million: f64,
    pub client_cpu_per_million: f64,
    /// The file writes the bytes of one request of every client per barrier: the best that a shared
    /// barrier can do. The cluster writes three copies to the same disk.
    pub file_megabytes_per_second: f64,
    pub of_file: f64,
    pub echo_records_per_second: f64,
    pub of_echo: f64,
    pub acknowledged: u64,
    pub consumed: u64,
    pub refused_requests: u64,
    pub unknown_requests: u64,
    pub consume_megabytes_per_second: f64,
}

pub fn all() -> [Cell; 4] {
    let json = |records, keys| Sends::Json { records, keys };
    [
        Cell { name: "json-keys", partitions: 6, clients: 8, sends: json(1000, true) },
        Cell { name: "json", partitions: 6, clients: 8, sends: json(1000, false) },
        Cell { name: "batches", partitions: 16, clients: 16, sends: Sends::Batches },
        Cell { name: "single", partitions: 6, clients: 64, sends: json(1, false) },
    ]
}

/// What one client's requests hold.
struct Load {
    client: Client,
    records: usize,
    /// Keys and values, or the batch.
    payload_bytes: usize,
}

impl Cell {
    pub async fn measure(&self, cluster: &Cluster, window: Duration) -> Line {
        let Self { name, partitions, clients, .. } = *self;
        eprintln!("{name}: {clients} clients, {partitions} partitions …");
        cluster.create_topic(name, partitions, json!({})).await;
        cluster.until_in_sync(name).await;
        let mut loads = Vec::new();
        for number in 0..clients {
            loads.push(self.load(cluster, number).await);
        }
        let (records, payload_bytes) = (loads[0].records, loads[0].payload_bytes);
        let senders: Vec<Client> = loads.into_iter().map(|load| load.client).collect();

        let file = tokio::task::spawn_blocking(move || roof::file(payload_bytes * clients));
        let file = file.await.unwrap() / 1e6;
        let echo = roof::echo(&senders).await * records as f64;
        let nodes: Vec<u32> = (0..cluster.nodes.len()).map(|at| cluster.process_id(at)).collect();
        let driven = drive(&senders, &nodes, WARM, window).await;
        let read = consume::all(cluster, name, partitions).await;
        let line = self.line(&driven, (records, payload_bytes), (file, echo), &read);
        eprintln!("{name}: {:.0} records/s", line.records_per_second);
        let least = line.acknowledged;
        let most = least + driven.unknown * records as u64;
        assert!((least..=most).contains(&line.consumed), "{} of {least} consumed", line.consumed);
        line
    }

    fn line(
        &self,
        driven: &Driven,
        (records, payload_bytes): (usize, usize),
        (file, echo): (f64, f64),
        read: &consume::Read,
    ) -> Line {
        let per_second = driven.per_second() * records as f64;
        let millions = per_second * driven.window.as_secs_f64() / 1e6;
        let megabytes = driven.per_second() * payload_bytes as f64 / 1e6;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Line {
            cell: self.name,
            partitions: self.partitions,
            clients: self.clients,
            records_per_second: per_second,
            megabytes_per_second: megabytes,
            p50_ms: ms(driven.percentile(0.5)),
            p99_ms: ms(driven.percentile(0.99)),
            node_cpu_per_million: driven.node_cpu.as_secs_f64() / millions,
            client_cpu_per_million: driven.client_cpu.as_secs_f64() / millions,
            file_megabytes_per_second: file,
            of_file: megabytes / file,
            echo_records_per_second: echo,
            of_echo: per_second / echo,
            acknowledged: driven.acknowledged * records as u64,
            consumed: read.records,
            refused_requests: driven.refused,
            unknown_requests: driven.unknown,
            consume_megabytes_per_second: read.bytes as f64 / 1e6 / read.took.as_secs_f64(),
        }
    }

    async fn load(&self, cluster: &Cluster, number: usize) -> Load {
        let mut random = SmallRng::seed_from_u64(number as u64);
        let topic = self.name;
        match self.sends {
            Sends::Json { records, keys } => {
                let path = format!("/v1/topics/{topic}/records");
                let bodies: Vec<Body> =
                    (0..REQUESTS).map(|_| json_body(&mut random, records, keys)).collect();
                let payload_bytes = bodies[0].payload_bytes;
                let requests = bodies.iter().map(|body| post(&path, JSON, body.text.as_bytes()));
                let address = cluster.nodes[number % cluster.nodes.len()].http.clone();
                let client = Client { address, requests: requests.collect() };
                Load { client, records, payload_bytes }
            }
            Sends::Batches => {
                let partition = number as u32 % self.partitions;
                let path = format!("/v1/topics/{topic}/partitions/{partition}/records");
                let (batch, records) = batch(&mut random);
                let requests = Arc::from([post(&path, BATCHES, &batch)]);
                let leader = cluster.leader(topic, partition as usize).await;
                let client = Client { address: cluster.nodes[leader].http.clone(), requests };
                Load { client, records, payload_bytes: batch.len() }
            }
        }
    }
}

struct Body {
    text: String,
    payload_bytes: usize,
}

fn json_body(random: &mut SmallRng, records: usize, keys: bool) -> Body {
    let mut text = String::from("{\"records\":[");
    let mut payload_bytes = 0;
    for number in 0..records {
        text.push_str(if number == 0 { "{" } else { ",{" });
        if keys {
            let key = format!("key-{:04}", random.random_range(0..KEYS));
            payload_bytes += key.len();
            write!(text, "\"key\":\"{key}\",").unwrap();
        }
        let value: String =
            (0..VALUE_BYTES).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        payload_bytes += value.len();
        write!(text, "\"value\":\"{value}\"}}").unwrap();
    }
    text.push_str("]}");
    Body { text, payload_bytes }
}

fn batch(random: &mut SmallRng) -> (Vec<u8>, usize) {
    let mut builder = BatchBuilder::new();
    let mut records = 0;
    while builder.len_bytes() < BATCH_BYTES {
        let mut value = [0; VALUE_BYTES];
        random.fill(&mut value);
        builder.push(1_700_000_000_000, None, Some(&value), std::iter::empty());
        records += 1;
    }
    (builder.finish(Compression::None).into_bytes().to_vec(), records)
}
