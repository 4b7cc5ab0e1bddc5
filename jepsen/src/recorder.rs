//! Writes a run's history as it happens. Every line gets its time while the file is held, so the order of
//! lines is the order of time.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::history::{Detail, Event, Header, Kind, Operation, Process, Writer};

/// The history of a run that goes on.
pub struct Recorder {
    began: Instant,
    inner: Mutex<Inner>,
    ok: AtomicU64,
    fail: AtomicU64,
    unknown: AtomicU64,
}

struct Inner {
    writer: Option<Writer<BufWriter<File>>>,
    /// Why it could not be written.
    failure: Option<io::Error>,
}

/// How many sends ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged.
    pub ok: u64,
    /// Certainly not appended.
    pub fail: u64,
    /// Nobody knows.
    pub unknown: u64,
}

impl Recorder {
    /// Begins a history.
    pub fn begin(path: &Path, header: &Header) -> io::Result<Self> {
        let writer = Writer::begin(BufWriter::new(File::create(path)?), header)?;
        Ok(Self {
            began: Instant::now(),
            inner: Mutex::new(Inner { writer: Some(writer), failure: None }),
            ok: AtomicU64::new(0),
            fail: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        })
    }

    /// How long the run goes on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Writes one line. A history that cannot be written fails the run at its end.
    pub fn record(&self, process: Process, kind: Kind, operation: Operation, detail: Detail) {
        if matches!(operation, Operation::Send(_)) {
            match kind {
                Kind::Invoke => 0,
                Kind::Ok => self.ok.fetch_add(1, Ordering::Relaxed),
                Kind::Fail => self.fail.fetch_add(1, Ordering::Relaxed),
                Kind::Info => self.unknown.fetch_add(1, Ordering::Relaxed),
            };
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let time = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut event = Event { index: 0, time, process, kind, operation, detail };
        let written = inner.writer.as_mut().map(|writer| writer.append(&mut event));
        if let Some(Err(error)) = written {
            inner.failure.get_or_insert(error);
        }
    }

    /// How the sends ended so far.
    pub fn tally(&self) -> Tally {
        Tally {
            ok: self.ok.load(Ordering::Relaxed),
            fail: self.fail.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }

    /// Ends it; it is on the disk then.
    pub fn finish(&self) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = inner.failure.take() {
            return Err(error);
        }
        let Some(writer) = inner.writer.take() else { return Ok(()) };
        let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }
}
