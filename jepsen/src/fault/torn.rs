//! A torn write: bytes behind the end of a dead node's logs that never were a whole frame. The node must cut
//! them and lose nothing. Effect: bytes written, and whether the node came back.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::Rng;

use super::{Effect, Stage, Trouble};

/// The longest tear.
const TEAR_BYTES_MAX: usize = 3000;

pub(super) async fn strike(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    stage.begins(&[node], &[]);
    stage.cluster().kill(node).await?;
    let mut effect = Effect::default();
    for segment in last_segments(&stage.cluster().node(node).site.data)? {
        let bytes = fs::read(&segment)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let length = stage.dice.random_range(1..=TEAR_BYTES_MAX);
        let mut tear = vec![0; length];
        stage.dice.fill(tear.as_mut_slice());
        let file = OpenOptions::new().write(true).open(&segment)?;
        // Eight zeros may belong to the last frame.
        file.write_all_at(&tear, u64::try_from(end + 8).unwrap_or(0))?;
        file.sync_all()?;
        effect.add("bytes_torn", u64::try_from(length).unwrap_or(0));
    }
    stage.hold().await;
    stage.revive(&[node]).await?;
    Ok(effect)
}

/// The newest segment of each log of a node.
pub(super) fn last_segments(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut last = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                segments.push(path);
            }
        }
        last.extend(segments.into_iter().max());
    }
    last.sort();
    Ok(last)
}
