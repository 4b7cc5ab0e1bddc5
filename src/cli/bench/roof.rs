//! What the machine does without us, in the same run: a bare file, and a bare HTTP server. Results are
//! told as fractions of it too, since machines differ.

use super::connection::Connection;
use super::options::Load;
use super::producer::Producer;
use super::record::Pen;
use super::report::Flow;
use super::request::Writer;
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::size::rounded;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use serde::Serialize;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const WINDOW: Duration = Duration::from_millis(1200);
const WARM: Duration = Duration::from_millis(300);
/// The file begins anew here, as segments do.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The roofs, and how near the result comes to them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Roof {
    /// One file, each write as long as one request of every producer, `fdatasync` after each: the best that
    /// a barrier shared by all producers can do. The replicas of a cluster on this machine share its disk.
    pub(super) file_megabytes_per_second: f64,
    /// What was written (or read, if nothing was), as a fraction of it.
    pub(super) of_file: f64,
    /// The same producers with the same bodies at an axum server that only sends them back.
    pub(super) echo_records_per_second: f64,
    /// Records, as a fraction of it.
    pub(super) of_echo: f64,
}

impl Roof {
    /// Measures both; the file is in this directory.
    pub(super) async fn measure(
        site: &Site,
        load: &Arc<Load>,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Failed, format!("roof: {error}"));
        let producers = usize::try_from(load.producers).expect("at most 1024");
        let (bytes, directory) = (load.request_bytes() * producers, directory.to_owned());
        let file = tokio::task::spawn_blocking(move || file(bytes, &directory)).await;
        let file = file.map_err(io::Error::other).and_then(|file| file).map_err(failed)?;
        let echo = echo(site, load).await.map_err(failed)?;
        Ok(Self {
            file_megabytes_per_second: file / 1e6,
            of_file: 0.0,
            echo_records_per_second: echo,
            of_echo: 0.0,
        })
    }

    /// With a result.
    pub(super) fn with(self, flow: &Flow) -> Self {
        Self {
            of_file: flow.megabytes_per_second / self.file_megabytes_per_second,
            of_echo: flow.records_per_second / self.echo_records_per_second,
            ..self
        }
    }
}

/// Bytes a second that one file makes durable, so many with each `fdatasync`.
fn file(bytes: usize, directory: &Path) -> io::Result<f64> {
    let file = tempfile::tempfile_in(directory)?;
    let payload = Pen::filler(bytes);
    write_for(&file, &payload, WARM)?;
    write_for(&file, &payload, WINDOW)
}

fn write_for(file: &File, payload: &[u8], window: Duration) -> io::Result<f64> {
    let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
    let (mut at, mut bytes) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < window {
        file.write_all_at(payload, at)?;
        file.sync_data()?;
        at += length;
        bytes += length;
        if at > FILE_BYTES_MAX {
            file.set_len(0)?;
            at = 0;
        }
    }
    Ok(rounded(bytes) / began.elapsed().as_secs_f64())
}

/// Records a second that the same producers get through a server that only sends bodies back.
async fn echo(site: &Site, load: &Arc<Load>) -> io::Result<f64> {
    let routes =
        Router::new().fallback(post(async |body: Bytes| body)).layer(DefaultBodyLimit::disable());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, routes).await });
    let filler = Pen::filler(load.record_bytes);
    let (from, until) = (Instant::now() + WARM, Instant::now() + WARM + WINDOW);
    let mut clients = JoinSet::new();
    for number in 0..load.producers {
        let pen = Pen::new(number, load.record_bytes, Arc::clone(&filler));
        let timeout = Producer::broker_timeout(site.client.timeout());
        let writer = Writer::new(Arc::clone(load), site.topic.clone(), pen, timeout);
        clients.spawn(echoed(writer, address.clone(), from, until));
    }
    let mut records = 0;
    while let Some(echoed) = clients.join_next().await {
        records += echoed.map_err(io::Error::other).and_then(|echoed| echoed)?;
    }
    Ok(rounded(records) / WINDOW.as_secs_f64())
}

async fn echoed(
    mut writer: Writer,
    address: String,
    from: Instant,
    until: Instant,
) -> io::Result<u64> {
    let mut connection = Connection::open(&address).await?;
    let mut records = 0;
    while Instant::now() < until {
        let request = writer.request(0, 0);
        connection.exchange(&request.bytes).await?;
        if (from..until).contains(&Instant::now()) {
            records += request.tally.records;
        }
    }
    Ok(records)
}
