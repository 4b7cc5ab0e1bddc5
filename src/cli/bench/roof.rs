//! What the machine does without us, in the same run: a bare file, and a bare HTTP server. Results are
//! told as fractions of it too, since machines differ.

use super::connection::Connection;
use super::options::Load;
use super::producer::Producer;
use super::readback::PAGE_BYTES_MAX;
use super::record::Pen;
use super::report::Flow;
use super::request::{self, Writer};
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::size::rounded;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
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
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Roof {
    /// One file, each write as long as one request of every producer, `fdatasync` after each: the best that
    /// a barrier shared by all producers can do.
    pub(super) file_megabytes_per_second: f64,
    /// The same for each copy, as the replicas of a cluster on this machine share its disk.
    pub(super) file_megabytes_per_second_each_copy: f64,
    /// The same producers with the same bodies at an axum server that only sends them back; if anything is
    /// written.
    pub(super) echo_records_per_second: Option<f64>,
    /// As many consumers at an axum server that only sends full pages from memory; if anything is read.
    pub(super) pages_megabytes_per_second: Option<f64>,
    /// What was written as a fraction of each.
    pub(super) written_as_fraction_of: Option<FractionOf>,
    /// What was read as a fraction of each.
    pub(super) read_as_fraction_of: Option<FractionOf>,
}

/// A result as a fraction of the roofs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct FractionOf {
    pub(super) file: f64,
    pub(super) file_each_copy: f64,
    /// Of the bare HTTP server: by records of what was written, by bytes of what was read.
    pub(super) http: Option<f64>,
}

/// What roofs are needed for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Under<'a> {
    pub(super) site: &'a Site,
    pub(super) load: &'a Arc<Load>,
    pub(super) writes: bool,
    /// None reads nothing.
    pub(super) consumers: u32,
}

impl Roof {
    /// Measures them; the file is in this directory.
    pub(super) async fn measure(under: Under<'_>, directory: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Failed, format!("roof: {error}"));
        let Under { site, load, writes, consumers } = under;
        let producers = usize::try_from(load.producers).expect("at most 1024");
        let (bytes, directory) = (load.request_bytes() * producers, directory.to_owned());
        let file = tokio::task::spawn_blocking(move || file(bytes, &directory)).await;
        let file = file.map_err(io::Error::other).and_then(|file| file).map_err(failed)? / 1e6;
        let echo = if writes { Some(echo(site, load).await.map_err(failed)?) } else { None };
        let pages = match consumers {
            0 => None,
            consumers => Some(pages(consumers).await.map_err(failed)? / 1e6),
        };
        Ok(Self {
            file_megabytes_per_second: file,
            file_megabytes_per_second_each_copy: file / f64::from(site.replicas.max(1)),
            echo_records_per_second: echo,
            pages_megabytes_per_second: pages,
            written_as_fraction_of: None,
            read_as_fraction_of: None,
        })
    }

    /// With a result.
    pub(super) fn with(self, written: Option<&Flow>, read: Option<&Flow>) -> Self {
        let of = |flow: &Flow, http| FractionOf {
            file: flow.megabytes_per_second / self.file_megabytes_per_second,
            file_each_copy: flow.megabytes_per_second / self.file_megabytes_per_second_each_copy,
            http,
        };
        let of_echo = |flow: &Flow| Some(flow.records_per_second / self.echo_records_per_second?);
        let of_pages =
            |flow: &Flow| Some(flow.megabytes_per_second / self.pages_megabytes_per_second?);
        let written_as_fraction_of = written.map(|flow| of(flow, of_echo(flow)));
        let read_as_fraction_of = read.map(|flow| of(flow, of_pages(flow)));
        Self { written_as_fraction_of, read_as_fraction_of, ..self }
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
    let (_server, address) = serve(routes).await?;
    let filler = Pen::filler(load.record_bytes);
    let (from, until) = window();
    let mut clients = JoinSet::new();
    for number in 0..load.producers {
        let pen = Pen::new(number, load.record_bytes, Arc::clone(&filler));
        let timeout = Producer::broker_timeout(site.client.timeout());
        let writer = Writer::new(Arc::clone(load), site.topic.clone(), pen, timeout);
        clients.spawn(echoed(writer, address.clone(), from, until));
    }
    each_second(clients).await
}

/// Bytes a second that as many consumers get from a server that only sends pages.
async fn pages(consumers: u32) -> io::Result<f64> {
    let page = Bytes::from(vec![b'x'; usize::try_from(PAGE_BYTES_MAX).expect("4 MiB")]);
    let routes = Router::new().fallback(get(async move || page.clone()));
    let (_server, address) = serve(routes).await?;
    let (from, until) = window();
    let mut clients = JoinSet::new();
    for _ in 0..consumers {
        clients.spawn(drained(address.clone(), from, until));
    }
    each_second(clients).await
}

/// Serves until the first is dropped; gives its address too.
async fn serve(routes: Router) -> io::Result<(JoinSet<io::Result<()>>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, routes).await });
    Ok((server, address))
}

fn window() -> (Instant, Instant) {
    let from = Instant::now() + WARM;
    (from, from + WINDOW)
}

async fn each_second(mut clients: JoinSet<io::Result<u64>>) -> io::Result<f64> {
    let mut sum = 0;
    while let Some(counted) = clients.join_next().await {
        sum += counted.map_err(io::Error::other).and_then(|counted| counted)?;
    }
    Ok(rounded(sum) / WINDOW.as_secs_f64())
}

/// Gives how many bytes came within the window.
async fn drained(address: String, from: Instant, until: Instant) -> io::Result<u64> {
    let mut connection = Connection::open(&address).await?;
    let request = request::get("/", request::BATCHES);
    let mut bytes = 0;
    while Instant::now() < until {
        let (page, kept) = connection.exchange(&request).await?;
        connection = kept.ok_or(io::ErrorKind::UnexpectedEof)?;
        if (from..until).contains(&Instant::now()) {
            bytes += u64::try_from(page.body.len()).unwrap_or(u64::MAX);
        }
    }
    Ok(bytes)
}

/// Gives how many records were echoed within the window.
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
        let (_echo, kept) = connection.exchange(&request.bytes).await?;
        connection = kept.ok_or(io::ErrorKind::UnexpectedEof)?;
        if (from..until).contains(&Instant::now()) {
            records += request.tally.records;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_fraction_of_each_roof() {
        let roof = Roof {
            file_megabytes_per_second: 300.0,
            file_megabytes_per_second_each_copy: 100.0,
            echo_records_per_second: Some(1000.0),
            ..Roof::default()
        };
        let flow =
            Flow { megabytes_per_second: 50.0, records_per_second: 100.0, ..Flow::default() };
        let roof = roof.with(Some(&flow), None);
        let written = roof.written_as_fraction_of.unwrap();
        assert!((written.file * 6.0 - 1.0).abs() < 1e-9);
        assert!((written.file_each_copy - 0.5).abs() < 1e-9);
        assert!((written.http.unwrap() - 0.1).abs() < 1e-9);
        assert!(roof.read_as_fraction_of.is_none());
    }
}
