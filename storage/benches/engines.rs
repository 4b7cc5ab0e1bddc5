//! How fast the engines make entries durable, as a fraction of what the disk itself does.
//!
//! ```text
//! cargo bench -p storage --bench engines
//! OTTLA_BENCH_DIR=/mnt/data cargo bench -p storage --bench engines     another file system
//! ```
//!
//! Each cell writes groups of entries over a number of logs, one barrier after each group; the raw
//! file writes the same bytes per barrier to one file with `pwrite` and `fdatasync`. Raw file and
//! engines take turns within each repetition, and the median counts: a shared disk wanders. Memory is
//! touched before, or a machine that gives its free pages back measures page faults.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark fails by panicking, and its numbers are small"
)]

use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::disk::RealDisk;
use storage::engine::segment::SegmentEngine;
use storage::engine::sled::SledEngine;
use storage::engine::{Engine, Frame, SegmentId};
use storage::{EntryKind, GroupId, Header, Index, Offset, Position, Term};

const SEGMENT_BYTES: u64 = 64 << 20;
const REPETITIONS: usize = 7;
/// Payload of one run of one cell.
const RUN_BYTES_MAX: usize = 96 << 20;
/// A slow engine stops here.
const RUN_TIME_MAX: Duration = Duration::from_millis(700);
/// Touched before each repetition.
const WARM_BYTES: usize = 256 << 20;

struct Cell {
    logs: usize,
    entry_bytes: usize,
    entries_per_barrier: usize,
}

const CELLS: [Cell; 6] = [
    Cell { logs: 1, entry_bytes: 64 << 10, entries_per_barrier: 1 },
    Cell { logs: 1, entry_bytes: 64 << 10, entries_per_barrier: 16 },
    Cell { logs: 16, entry_bytes: 64 << 10, entries_per_barrier: 16 },
    Cell { logs: 1, entry_bytes: 1 << 10, entries_per_barrier: 1 },
    Cell { logs: 1, entry_bytes: 1 << 10, entries_per_barrier: 1024 },
    Cell { logs: 16, entry_bytes: 1 << 10, entries_per_barrier: 1024 },
];

/// Opens an engine under an empty directory.
type Open = fn(&Path) -> Box<dyn Engine>;

const ENGINES: [(&str, Open); 2] = [("segment", open_segment), ("sled", open_sled)];

fn open_segment(dir: &Path) -> Box<dyn Engine> {
    Box::new(SegmentEngine::open(Arc::new(RealDisk), dir, SEGMENT_BYTES).unwrap())
}

fn open_sled(dir: &Path) -> Box<dyn Engine> {
    Box::new(SledEngine::open(dir).unwrap())
}

fn main() -> io::Result<()> {
    // `cargo test --benches` runs this too, to see that it starts.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let root = std::env::var_os("OTTLA_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let mut out = io::stdout().lock();
    write!(out, "{:>5} {:>9} {:>8} {:>10}", "logs", "entry", "barrier", "raw MB/s")?;
    for (name, _) in ENGINES {
        write!(out, " {:>13} {:>6}", format!("{name} MB/s"), "of raw")?;
    }
    writeln!(out)?;
    for cell in CELLS {
        let (raw, engines) = measure(&cell, &root);
        let group_bytes = cell.entry_bytes * cell.entries_per_barrier;
        let (logs, entry, barrier) = (cell.logs, size(cell.entry_bytes), size(group_bytes));
        write!(out, "{logs:>5} {entry:>9} {barrier:>8} {:>10.0}", median(&raw))?;
        for speeds in engines {
            // Each repetition's own fraction: neighbours in time met the same disk.
            let fractions: Vec<f64> =
                speeds.iter().zip(&raw).map(|(engine, raw)| engine / raw).collect();
            write!(out, " {:>13.0} {:>6.2}", median(&speeds), median(&fractions))?;
        }
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

/// MB/s of the raw file and of each engine, one figure per repetition.
fn measure(cell: &Cell, root: &Path) -> (Vec<f64>, Vec<Vec<f64>>) {
    let payload = incompressible(cell.entry_bytes);
    let (mut raw, mut engines) = (Vec::new(), vec![Vec::new(); ENGINES.len()]);
    for _ in 0..REPETITIONS {
        warm();
        let dir = tempfile::tempdir_in(root).unwrap();
        raw.push(run_raw(cell, &payload, dir.path()));
        for ((_, open), speeds) in ENGINES.iter().zip(&mut engines) {
            let dir = tempfile::tempdir_in(root).unwrap();
            speeds.push(run_engine(cell, &payload, &*open(dir.path())));
        }
    }
    (raw, engines)
}

fn run_raw(cell: &Cell, payload: &Bytes, dir: &Path) -> f64 {
    let file = File::options().create_new(true).write(true).open(dir.join("raw")).unwrap();
    let group = payload.repeat(cell.entries_per_barrier);
    let mut at = 0;
    timed(group.len(), || {
        file.write_all_at(&group, at).unwrap();
        file.sync_data().unwrap();
        at += group.len() as u64;
    })
}

fn run_engine(cell: &Cell, payload: &Bytes, engine: &dyn Engine) -> f64 {
    let mut logs: Vec<BenchLog> =
        (0..cell.logs).map(|group| BenchLog::create(engine, group as u64)).collect();
    let mut turn = 0;
    timed(cell.entry_bytes * cell.entries_per_barrier, || {
        for _ in 0..cell.entries_per_barrier {
            logs[turn % cell.logs].pending.push(payload.clone());
            turn += 1;
        }
        let mut dirty = Vec::with_capacity(cell.logs);
        for log in logs.iter_mut().filter(|log| !log.pending.is_empty()) {
            dirty.push(log.write(engine));
        }
        engine.barrier(&dirty).unwrap();
    })
}

/// Calls `group` until enough bytes or time have passed; MB/s.
fn timed(group_bytes: usize, mut group: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut bytes = 0;
    while bytes < RUN_BYTES_MAX && start.elapsed() < RUN_TIME_MAX {
        group();
        bytes += group_bytes;
    }
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// What the log above an engine does, and no more.
struct BenchLog {
    segment: SegmentId,
    next: Index,
    bytes: u64,
    pending: Vec<Bytes>,
}

impl BenchLog {
    fn create(engine: &dyn Engine, group: u64) -> Self {
        let segment = SegmentId { group: GroupId::new(group), first: Index::ZERO };
        engine.create(segment, Offset::ZERO).unwrap();
        Self { segment, next: Index::ZERO, bytes: 0, pending: Vec::new() }
    }

    fn write(&mut self, engine: &dyn Engine) -> SegmentId {
        let frames: Vec<Frame> = self
            .pending
            .drain(..)
            .map(|payload| {
                let header = Header {
                    position: Position::new(Term::new(1), self.next),
                    kind: EntryKind::Data,
                    base_offset: Offset::new(self.next.get()),
                    record_count: 1,
                    max_timestamp: 0,
                    payload_len: payload.len() as u32,
                };
                self.next = self.next.next();
                self.bytes += storage::engine::segment::frame_bytes(header.payload_len);
                Frame { header, payload, durable: None }
            })
            .collect();
        if self.bytes > SEGMENT_BYTES - storage::engine::segment::HEADER_BYTES {
            engine.barrier(&[self.segment]).unwrap();
            self.segment.first = frames[0].header.position.index;
            engine.create(self.segment, frames[0].header.base_offset).unwrap();
            self.bytes = 0;
        }
        engine.write(self.segment, &frames).unwrap();
        self.segment
    }
}

fn incompressible(len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    SmallRng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes.into()
}

/// Has the machine's free memory at hand.
fn warm() {
    let mut memory = vec![0_u8; WARM_BYTES];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
