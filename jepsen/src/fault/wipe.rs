//! A node that returns with an empty disk under its old id: it may have acknowledged what it no longer has, so
//! it must be refused. Its disk is given back afterwards. Effect: refusals.

use std::fs;
use std::time::Duration;

use super::{Effect, Stage, Trouble};

/// How long a node that must not run may take to see it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn strike(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    let cluster = std::sync::Arc::clone(&stage.arena.cluster);
    let data = &cluster.node(node).site.data;
    let aside = data.with_extension("aside");
    stage.begins(&[node], &[]);
    cluster.kill(node).await?;
    fs::rename(data, &aside)?;
    cluster.start(node).await?;
    let refused = cluster.ends_within(node, REFUSAL_PATIENCE).await;
    cluster.kill(node).await?;
    fs::remove_dir_all(data)?;
    fs::rename(&aside, data)?;
    // Our own renames must survive the next power cut, or we are the ones who wiped it.
    rustix::fs::syncfs(fs::File::open(data)?).map_err(std::io::Error::from)?;
    if !refused {
        cluster.start(node).await?;
        let why = "a node with a wiped disk under a used id was not refused";
        return Err(Trouble::Lasting(why.to_owned()));
    }
    stage.revive(&[node]).await?;
    Ok(Effect::default().with("refusals", 1))
}
