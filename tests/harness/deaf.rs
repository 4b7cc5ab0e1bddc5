//! A way to a node on which requests arrive and answers are lost.

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards what is sent to a node, waits until the node answers, and breaks the connection.
pub struct Deaf {
    pub address: String,
    _tasks: JoinSet<()>,
}

impl Deaf {
    /// In front of the node with this address.
    pub async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let target = target.to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(forward(near, target.clone()));
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn forward(mut near: TcpStream, target: String) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let (mut asks, _) = near.split();
    let (mut answers, mut asked) = far.split();
    tokio::select! {
        _ = tokio::io::copy(&mut asks, &mut asked) => {}
        _ = answers.read_u8() => {}
    }
}
