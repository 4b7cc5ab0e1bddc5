//! `ottla topic alter`.

use super::setting::Setting;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::table::Table;
use crate::client::Client;
use crate::topic::TopicName;
use std::collections::BTreeMap;

/// Flags of `ottla topic alter`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("changes").required(true).multiple(true))]
pub(in crate::cli) struct AlterArgs {
    /// The topic
    #[arg(value_parser = super::name)]
    name: TopicName,
    /// Give a setting a value; may be given several times
    #[arg(long, value_name = "NAME=VALUE", group = "changes")]
    set: Vec<Setting>,
    /// Return a setting to its default; may be given several times
    #[arg(long, value_name = "NAME", group = "changes")]
    delete: Vec<String>,
}

/// Makes all changes at once, and shows the settings changed.
pub(super) async fn run(
    args: AlterArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let AlterArgs { name, set, delete } = args;
    let mut changes: BTreeMap<String, Option<String>> =
        set.into_iter().map(|setting| (setting.name, Some(setting.value))).collect();
    for setting in delete {
        if changes.insert(setting.clone(), None).is_some() {
            let message = format!("{setting} is both set and deleted");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let mut settings = client.alter(&name, &changes).await?;
    settings.retain(|setting| changes.contains_key(&setting.name));
    output.result(&settings, |settings| {
        let mut table = Table::new(["SETTING", "VALUE", "DEFAULT"]);
        for setting in settings {
            table.row([setting.name.clone(), setting.value.clone(), setting.default.clone()]);
        }
        table.lines()
    })?;
    Ok(Exit::Done)
}
