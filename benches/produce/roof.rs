//! What the machine does without us: a bare file, and a bare HTTP server.

use crate::drive::{Client, drive};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const WINDOW: Duration = Duration::from_millis(1500);
const WARM: Duration = Duration::from_millis(300);
/// The file begins anew here, as segments do.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Bytes a second that one file makes durable, so many with each `fdatasync`.
pub fn file(bytes_per_barrier: usize) -> f64 {
    let file = tempfile::tempfile().unwrap();
    let payload: Vec<u8> = (0..bytes_per_barrier).map(|at| (at * 31 % 251) as u8).collect();
    write_for(&file, &payload, WARM);
    write_for(&file, &payload, WINDOW)
}

fn write_for(file: &File, payload: &[u8], window: Duration) -> f64 {
    let (mut at, mut bytes) = (0, 0_u64);
    let began = Instant::now();
    while began.elapsed() < window {
        file.write_all_at(payload, at).unwrap();
        file.sync_data().unwrap();
        at += payload.len() as u64;
        bytes += payload.len() as u64;
        if at > FILE_BYTES_MAX {
            file.set_len(0).unwrap();
            at = 0;
        }
    }
    bytes as f64 / began.elapsed().as_secs_f64()
}

/// Requests a second that the same clients get through an HTTP server that only sends the body back.
pub async fn echo(clients: &[Client]) -> f64 {
    let routes =
        Router::new().fallback(post(async |body: Bytes| body)).layer(DefaultBodyLimit::disable());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, routes).await });
    let clients: Vec<Client> = clients
        .iter()
        .map(|client| Client { address: address.clone(), requests: Arc::clone(&client.requests) })
        .collect();
    drive(&clients, &[], WARM, WINDOW).await.per_second()
}
