//! The ways in which a run is told to end early: Ctrl-C, SIGTERM, and a terminal that is closed. None of
//! them just ends the process, as what was made must be removed first.
//!
//! Signals are listened to from the beginning to the end of a command: one that comes between two of its
//! steps is seen by the next.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use std::future::Future;
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What tells us to stop.
#[derive(Debug)]
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// From now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Does something, unless we are told to stop: then it is dropped where it stands.
    pub(super) async fn unless<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.told() => Err(Failure::interrupted()),
        }
    }

    /// Does something to its end; then we may have been told to stop. For what cannot be undone while
    /// nobody knows whether it was done.
    pub(super) async fn after<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        tokio::select! {
            done = &mut work => done,
            () = self.told() => work.await.and(Err(Failure::interrupted())),
        }
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Number, getpid, kill_process};

    #[tokio::test]
    async fn a_signal_between_two_steps_is_seen_by_the_next() {
        let mut stop = Stop::listen().unwrap();
        stop.unless(async { Ok(()) }).await.unwrap();
        kill_process(getpid(), Number::HUP).unwrap();
        let next = stop.unless(std::future::pending::<Result<(), Failure>>()).await;
        assert_eq!(next, Err(Failure::interrupted()));
        kill_process(getpid(), Number::HUP).unwrap();
        let mut done = false;
        let made = stop.after(async {
            // It is let do this although we are told to stop.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            done = true;
            Ok(())
        });
        drop(made.await);
        assert!(done);
    }
}
