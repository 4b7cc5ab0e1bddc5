//! The ways in which a run is told to end early: Ctrl-C, SIGTERM, and a terminal that is closed. None of
//! them just ends the process, as what was made must be removed first.

use crate::cli::demo::asked_to_stop;
use crate::cli::failure::Failure;
use std::future::Future;
use std::pin::pin;
use tokio::signal::unix::{SignalKind, signal};

/// Does something, unless it is told to stop: then it is dropped where it stands.
pub(super) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = told() => Err(Failure::interrupted()),
    }
}

/// Does something to its end; then it may have been told to stop. For what cannot be undone while nobody
/// knows whether it was done.
pub(super) async fn to_its_end<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = told() => work.await.and(Err(Failure::interrupted())),
    }
}

async fn told() {
    tokio::select! {
        () = asked_to_stop() => {}
        () = hung_up() => {}
    }
}

async fn hung_up() {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => drop(hangup.recv().await),
        Err(_cannot_be_caught) => std::future::pending().await,
    }
}
