//! A bit that changed at rest, well below the end of a log, on a node that is down. The node must find it and
//! not serve it; the bit is put back once it said so. Effect: bits flipped, and replicas that the node stopped or
//! refused because of it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::Rng;
use rand::seq::IndexedRandom;

use tokio::time::Instant;

use super::stage::RECOVERY_PATIENCE;
use super::torn::last_segments;
use super::{Effect, Stage, Trouble};
use crate::cluster::until;

/// A log that is shorter may have its whole content in frames that nothing vouches for yet.
const CONTENT_BYTES_MIN: usize = 16 << 10;

pub(super) async fn strike(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_follower().await?;
    let _claim = stage.claim(&[node]).await?;
    let segments = last_segments(&stage.cluster().node(node).site.data)?;
    let mut long = Vec::new();
    for segment in segments {
        let bytes = fs::read(&segment)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        if end >= CONTENT_BYTES_MIN {
            long.push((segment, end));
        }
    }
    let Some((segment, end)) = long.choose(&mut stage.dice).cloned() else {
        return Err(Trouble::Skipped(format!("no log has {CONTENT_BYTES_MIN} bytes yet")));
    };
    let place = stage.dice.random_range(end / 4..end / 2);
    let bit = 1_u8 << stage.dice.random_range(0..8);
    stage.begins(&[node], &[]);
    stage.cluster().kill(node).await?;
    flip(&segment, place, bit)?;
    let said = stage.cluster().log_text(node).len();
    stage.cluster().start(node).await?;
    stage.hold().await;
    let told = told_or_ready(stage, node, said).await;
    let effect = Effect::default().with("bits_flipped", 1).with("errors_told", told);
    if told == 0 {
        // It took the bit for good, so it keeps it: a bit that matters is found in the end.
        stage.until_whole().await?;
        return Ok(effect);
    }
    stage.cluster().kill(node).await?;
    flip(&segment, place, bit)?;
    stage.revive(&[node]).await?;
    Ok(effect)
}

/// Lines of error that a node wrote since its words were so long, once there are any or it serves.
async fn told_or_ready(stage: &Stage, node: u8, since: usize) -> u64 {
    let errors = || {
        let text = stage.cluster().log_text(node);
        let lines = text.get(since..).unwrap_or_default().lines();
        u64::try_from(lines.filter(|line| line.contains("ERROR")).count()).unwrap_or(u64::MAX)
    };
    let deadline = Instant::now() + RECOVERY_PATIENCE;
    let served = until(deadline, async || match errors() {
        0 => stage.cluster().admin.ready(node).await,
        _ => Ok(()),
    });
    // Neither is an answer too: it is not whole then, and that is seen elsewhere.
    served.await.ok();
    errors()
}

fn flip(file: &Path, place: usize, bit: u8) -> io::Result<()> {
    let place = u64::try_from(place).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)?;
    file.write_all_at(&byte.map(|byte| byte ^ bit), place)?;
    file.sync_all()
}
