//! `jepsen doctor`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use jepsen::doctor::Findings;
use jepsen::fault::Kind;

use super::{failed, say};

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where trial files go; removed again
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match look(arguments) {
        Ok(findings) => {
            tell(&findings);
            ExitCode::SUCCESS
        }
        Err(error) => failed(error),
    }
}

fn look(arguments: &Arguments) -> io::Result<Findings> {
    let name = format!("jepsen-doctor-{}", std::process::id());
    let dir = arguments.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(Findings::gather(&std::env::current_exe()?, &dir));
    std::fs::remove_dir_all(&dir)?;
    findings
}

fn tell(findings: &Findings) {
    for finding in &findings.all {
        match &finding.missing {
            None => say(format_args!("  yes  {}", finding.need.name())),
            Some(why) => say(format_args!("  no   {}: {why}", finding.need.name())),
        }
    }
    say(format_args!("environment: {}", findings.best()));
    for kind in Kind::ALL {
        let needs: Vec<&str> = kind.needs().iter().map(|need| need.name()).collect();
        let lacks = kind.needs().iter().any(|need| findings.missing(*need).is_some());
        let can = if lacks { "no " } else { "yes" };
        let needs =
            if needs.is_empty() { String::new() } else { format!("needs {}", needs.join(", ")) };
        say(format_args!("  {can}  {:<22} {:<10} {needs}", kind.name(), kind.class()));
    }
}
