//! What every client of every workload is: a process number, connections, draws.
//!
//! After an `info` a client throws itself away: its next operation has a new process number and connections
//! of its own, so that a late effect of the old one is nobody's retry.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::Rules;
use super::load::dice;
use crate::client::{Client, Failure};
use crate::history::{Detail, Kind, Operation, Process};
use crate::recorder::Recorder;

/// One client at a time, in a place of which there are as many as there are clients.
pub(super) struct Actor {
    places: u32,
    process: u32,
    pub(super) client: Client,
    source: Option<IpAddr>,
    nodes: Vec<u8>,
    /// Who answered last.
    pub(super) answered: Option<u8>,
    pub(super) dice: ChaCha8Rng,
    recorder: Arc<Recorder>,
}

impl Actor {
    /// The first client of a place.
    pub(super) fn new(
        rules: &Rules,
        place: u32,
        client: &Client,
        source: Option<IpAddr>,
        recorder: &Arc<Recorder>,
    ) -> io::Result<Self> {
        Ok(Self {
            places: rules.clients,
            process: place,
            client: client.fresh(source)?,
            source,
            nodes: client.nodes(),
            answered: None,
            dice: dice(rules.seed, u64::from(place) + 1),
            recorder: Arc::clone(recorder),
        })
    }

    /// Its number.
    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// Writes a line of its own.
    pub(super) fn record(&self, kind: Kind, operation: Operation, detail: Detail) {
        self.recorder.record(Process::Client(self.process), kind, operation, detail);
    }

    /// Mostly the one that answered last: a client that keeps asking one that hangs does little else.
    pub(super) fn node(&mut self) -> u8 {
        match self.answered {
            Some(node) if self.dice.random_ratio(3, 4) => node,
            _ => self.any_node(),
        }
    }

    /// Any of them.
    pub(super) fn any_node(&mut self) -> u8 {
        self.nodes.choose(&mut self.dice).copied().unwrap_or(1)
    }

    /// Throws itself away; who comes after it has another number.
    pub(super) fn be_somebody_else(&mut self) {
        self.process = self.process.saturating_add(self.places);
        if let Ok(client) = self.client.fresh(self.source) {
            self.client = client;
        }
    }

    /// Writes how an operation failed. After `info` it is somebody else.
    pub(super) fn ended_badly(
        &mut self,
        operation: Operation,
        detail: Detail,
        failure: Failure,
    ) -> Kind {
        self.answered = None;
        let kind = failure.kind();
        self.record(kind, operation, Detail { error: Some(failure.into_words()), ..detail });
        if kind == Kind::Info {
            self.be_somebody_else();
        }
        kind
    }
}
