//! What peers ask of this broker: admitted by the gate, decoded, done here and nowhere else.

use super::Inner;
use super::gate::Gate;
use super::route::Errand;
use super::wire::{self, Ask, Miss, Reply};
use crate::error::{Error, ErrorKind};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use raft::transport::{Handler, Hello, Request};
use std::sync::{Arc, OnceLock, Weak};
use tokio::time::Instant;

/// The broker's side of the transport. Weak: the transport must not keep the broker alive.
#[derive(Debug)]
pub(super) struct Door {
    gate: Arc<Gate>,
    broker: OnceLock<Weak<Inner>>,
}

impl Door {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, broker: OnceLock::new() }
    }

    /// From now on it answers.
    pub(super) fn open(&self, broker: &Arc<Inner>) {
        self.broker.get_or_init(|| Arc::downgrade(broker));
    }

    async fn answer(&self, request: Request) -> Result<Reply, Miss> {
        let broker = self.broker.get().and_then(Weak::upgrade).ok_or_else(Miss::nobody)?;
        let (ask, budget, payload) = match wire::decode_ask(request.body) {
            Ok(decoded) if request.kind == wire::CALL => decoded,
            Ok(_) => {
                let message = format!("call of kind {} is not known here", request.kind);
                return Err(Error::new(ErrorKind::InvalidRequest, message).into());
            }
            Err(error) => {
                let message = format!("call of node {}: {error}", request.from);
                return Err(Error::new(ErrorKind::InvalidRequest, message).into());
            }
        };
        let _place = match &ask {
            Ask::Produce { .. } => Some(broker.admission.produce(payload.len())?),
            Ask::Fetch { .. } => Some(broker.admission.fetch()?),
            Ask::Tail { .. }
            | Ask::Trim { .. }
            | Ask::Administer(_)
            | Ask::Status { .. }
            | Ask::Settle { .. }
            | Ask::Group(_) => None,
        };
        let errand = Errand {
            group: request.group,
            name: broker.name_of(request.group),
            candidates: Vec::new(),
            payload: matches!(ask, Ask::Produce { .. }).then_some(payload),
            ask,
            deadline: Instant::now() + budget,
        };
        broker.perform(&errand).await
    }
}

impl Handler for Door {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        self.gate.admit(hello)
    }

    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>> {
        async move { wire::encode_answer(self.answer(request).await) }.boxed()
    }
}
