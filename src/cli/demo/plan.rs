//! Where the nodes of a demo cluster listen. The choice is kept beside their data: nodes know each
//! other by these addresses, so a restart needs the same ones.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// How many nodes, if nothing says otherwise.
const NODES_DEFAULT: u16 = 3;
/// The first node's ports; each further node has ports 1000 higher.
const HTTP_PORT: u16 = 8080;
const PEER_PORT: u16 = 7001;
const NODE_STEP: u16 = 1000;

/// Which ports to take for a new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Ports {
    /// The documented ones.
    Usual,
    /// Whatever is free.
    Any,
}

/// All nodes of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Plan {
    /// By id.
    pub(in crate::cli) nodes: Vec<NodePlan>,
}

/// One node of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct NodePlan {
    /// From 1.
    pub(in crate::cli) id: u64,
    /// `host:port` of HTTP.
    pub(in crate::cli) http: String,
    /// `host:port` for peers.
    pub(in crate::cli) peer: String,
}

/// The directory of a node.
pub(in crate::cli) fn directory(data: &Path, id: u64) -> PathBuf {
    data.join(format!("node-{id}"))
}

/// A node's log lines. Beside its directory, which is the node's own.
pub(in crate::cli) fn log(data: &Path, id: u64) -> PathBuf {
    data.join(format!("node-{id}.log"))
}

impl Plan {
    /// The plan of this directory; a new one if it has none. All its ports are free right now.
    pub(in crate::cli) fn load_or_make(
        data: &Path,
        nodes: Option<u16>,
        ports: Ports,
    ) -> Result<Self, Failure> {
        let path = data.join("demo.json");
        let plan = match fs::read(&path) {
            Ok(bytes) => Self::read(&path, &bytes, nodes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let plan = Self::make(nodes.unwrap_or(NODES_DEFAULT), ports)?;
                plan.check_free()?;
                fs::create_dir_all(data).map_err(|error| Failure::file(data, &error))?;
                let json = serde_json::to_vec_pretty(&plan).expect("a plan is plain data");
                fs::write(&path, json).map_err(|error| Failure::file(&path, &error))?;
                return Ok(plan);
            }
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        plan.check_free()?;
        Ok(plan)
    }

    fn read(path: &Path, bytes: &[u8], nodes: Option<u16>) -> Result<Self, Failure> {
        let plan: Self = serde_json::from_slice(bytes)
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))?;
        let has = plan.nodes.len();
        match nodes {
            Some(wanted) if usize::from(wanted) != has => {
                let message = format!("{}: a cluster of {has} nodes, not {wanted}", path.display());
                Err(Failure::new(Exit::Conflict, message)
                    .hint("leave -n away, or begin another cluster with --data DIR"))
            }
            Some(_) | None => Ok(plan),
        }
    }

    fn make(nodes: u16, ports: Ports) -> Result<Self, Failure> {
        // All listeners are held until every port is chosen, so that no port is chosen twice.
        let mut held = Vec::new();
        let mut address = |port: u16| -> io::Result<String> {
            if ports == Ports::Usual {
                return Ok(format!("127.0.0.1:{port}"));
            }
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?.to_string();
            held.push(listener);
            Ok(address)
        };
        let nodes = (0..nodes).map(|n| {
            let (id, step) = (u64::from(n) + 1, n * NODE_STEP);
            let (http, peer) = (address(HTTP_PORT + step)?, address(PEER_PORT + step)?);
            Ok(NodePlan { id, http, peer })
        });
        let nodes: io::Result<Vec<NodePlan>> = nodes.collect();
        let failed = |error| Failure::new(Exit::Failed, format!("no free port: {error}"));
        nodes.map(|nodes| Self { nodes }).map_err(failed)
    }

    fn check_free(&self) -> Result<(), Failure> {
        for node in &self.nodes {
            for address in [&node.http, &node.peer] {
                if let Err(error) = TcpListener::bind(address) {
                    let message = format!("node {} cannot listen on {address}: {error}", node.id);
                    return Err(Failure::new(Exit::Conflict, message).hint(
                        "is another demo running? --any-port --data DIR starts a new cluster on \
                         free ports",
                    ));
                }
            }
        }
        Ok(())
    }

    /// All nodes, as `--initial` takes them.
    pub(in crate::cli) fn initial(&self) -> String {
        let nodes: Vec<String> =
            self.nodes.iter().map(|node| format!("{}={}", node.id, node.peer)).collect();
        nodes.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn usual_ports_are_a_thousand_apart() {
        let plan = Plan::make(3, Ports::Usual).unwrap();
        let http: Vec<&str> = plan.nodes.iter().map(|node| node.http.as_str()).collect();
        assert_eq!(http, ["127.0.0.1:8080", "127.0.0.1:9080", "127.0.0.1:10080"]);
        assert_eq!(plan.initial(), "1=127.0.0.1:7001,2=127.0.0.1:8001,3=127.0.0.1:9001");
        let all: BTreeSet<String> = Plan::make(9, Ports::Usual)
            .unwrap()
            .nodes
            .into_iter()
            .flat_map(|node| [node.http, node.peer])
            .collect();
        assert_eq!(all.len(), 18, "no port twice");
    }

    #[test]
    fn a_restart_takes_the_ports_it_had() {
        let data = tempfile::tempdir().unwrap();
        let plan = Plan::load_or_make(data.path(), Some(3), Ports::Any).unwrap();
        assert_eq!(Plan::load_or_make(data.path(), None, Ports::Usual).unwrap(), plan);
        let failure = Plan::load_or_make(data.path(), Some(5), Ports::Any).unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let data = tempfile::tempdir().unwrap();
        let plan = Plan::load_or_make(data.path(), Some(1), Ports::Any).unwrap();
        let http = &plan.nodes.first().unwrap().http;
        let _taken = TcpListener::bind(http).unwrap();
        let failure = Plan::load_or_make(data.path(), None, Ports::Any).unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
        assert!(failure.message.contains(http), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("--any-port"));
    }
}
