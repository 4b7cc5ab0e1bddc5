//! A clock that jumps an hour ahead and back, by a library under the node's process. Effect: seconds by which
//! the node's answers jumped.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Effect, Stage, Trouble};
use crate::doctor::faketime;

/// How far it jumps.
const JUMP: &str = "+3600s";

pub(super) async fn jump(stage: &mut Stage) -> Result<Effect, Trouble> {
    let library = faketime().map_err(|error| Trouble::Skipped(error.to_string()))?;
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    let cluster = Arc::clone(&stage.arena.cluster);
    let file = stage.arena.dir.join(format!("clock-{}", stage.id));
    fs::write(&file, "+0\n")?;
    stage.begins(&[node], &[]);
    // The library is there from a process' beginning, or not at all.
    cluster.set_variables(node, variables(library, file.clone()));
    cluster.kill(node).await?;
    stage.revive(&[node]).await?;
    let before = hour(&cluster.admin.date(node).await.map_err(Trouble::Skipped)?);
    fs::write(&file, format!("{JUMP}\n"))?;
    stage.hold().await;
    let during = hour(&cluster.admin.date(node).await.map_err(Trouble::Lasting)?);
    fs::write(&file, "+0\n")?;
    stage.hold().await;
    cluster.set_variables(node, Vec::new());
    cluster.kill(node).await?;
    stage.revive(&[node]).await?;
    Ok(Effect::default().with("clock_jumps_seen", u64::from(before != during)))
}

fn variables(library: PathBuf, file: PathBuf) -> Vec<(String, String)> {
    let text = |path: PathBuf| path.display().to_string();
    let pairs = [
        ("LD_PRELOAD", text(library)),
        ("FAKETIME_TIMESTAMP_FILE", text(file)),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The hour in `Sun, 06 Nov 1994 08:49:37 GMT`.
fn hour(date: &str) -> Option<u32> {
    date.split_whitespace().nth(4)?.split(':').next()?.parse().ok()
}
