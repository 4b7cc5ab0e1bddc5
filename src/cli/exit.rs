//! Exit codes: what a script learns without reading a word. `--help` lists them.

use std::process::ExitCode;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done,
    /// It failed, and no other row says why.
    Failed,
    /// The command line cannot be understood.
    Usage,
    /// The topic, partition or file does not exist.
    NotFound,
    /// It exists already, or a precondition does not hold.
    Conflict,
    /// No broker, no leader, no answer in time, or an outcome that is not known.
    Unavailable,
    /// The cluster answered that it is not healthy.
    Unhealthy,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The table in `--help`.
    pub const HELP: &str = "\
Exit codes:
    0  done
    1  failed
    2  wrong usage
    3  no such topic, partition or file
    5  exists already, or a precondition does not hold
    6  no broker, no leader, no answer in time, or the outcome is not known
    7  the cluster is not healthy
  130  Ctrl-C";

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 5,
            Self::Unavailable => 6,
            Self::Unhealthy => 7,
            Self::Interrupted => 130,
        }
    }

    /// Which one an HTTP status stands for.
    pub const fn of_status(status: u16) -> Self {
        match status {
            404 => Self::NotFound,
            409 | 412 => Self::Conflict,
            408 | 429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_error_of_the_table_has_its_exit_code() {
        for kind in ErrorKind::ALL {
            let row = kind.row();
            let exit = Exit::of_status(row.status);
            assert_eq!(exit == Exit::NotFound, row.status == 404, "{kind:?}");
            assert_eq!(exit == Exit::Unavailable, row.retriable, "{kind:?}");
        }
    }

    #[test]
    fn help_lists_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Conflict,
            Exit::Unavailable,
            Exit::Unhealthy,
            Exit::Interrupted,
        ] {
            let line = format!("{:>5}  ", exit.code());
            assert!(Exit::HELP.contains(&line), "{exit:?}");
        }
    }
}
