//! Exports a history in the shape that the original checker, `jepsen.tests.kafka`, reads: one operation a
//! line, so that it can give a second verdict.
//!
//! | here | there |
//! |---|---|
//! | `assign`, `subscribe`, `send`, `poll`, `txn`, `crash`, `debug-topic-partitions` | the same |
//! | sends of an `ok` | `[:send k [offset v]]`; otherwise `[:send k v]` unless the offset is known |
//! | `final-read` | by a process of its own: `:assign … :seek-to-beginning? true`, then `:poll`s |
//! | a fault | `:info` of `:nemesis` |
//! | CRCs, groups, registers, dumps | left out: that checker has no use for them |
//!
//! Indices are given anew, dense from 0, as that checker wants them. The first line is a comment: what of the
//! test that checker has to know, and what was `found` here, in its words; `second-verdict/run` compares.
//!
//! It knows nothing of trims and retention: what a log no longer has, it takes for lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use super::header::SubscribedBy;
use super::{
    Event, Header, Key, Kind, Micro, Operation, Process, Reader, ReaderError, Replica, Seen,
};

/// Processes of final reads count from here.
const FINAL_PROCESS_FIRST: u32 = 1_000_000_000;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history cannot be read.
    #[error(transparent)]
    Read(#[from] ReaderError),
    /// The export cannot be written.
    #[error("writing the export: {0}")]
    Write(#[from] io::Error),
}

/// Exports everything `reader` still has, with the names of what was found in it; returns how many operations
/// were written.
pub fn export<R: BufRead, W: Write>(
    reader: Reader<R>,
    found: &BTreeSet<&str>,
    out: W,
) -> Result<u64, ExportError> {
    let mut exporter = Exporter { out, next: 0, finals: BTreeMap::new(), text: String::new() };
    exporter.head(reader.header(), found)?;
    for event in reader {
        exporter.event(&event?)?;
    }
    exporter.out.flush()?;
    Ok(exporter.next)
}

struct Exporter<W> {
    out: W,
    next: u64,
    /// The process of each copy that is read at the end.
    finals: BTreeMap<(String, Key, u32), u32>,
    text: String,
}

/// What every exported line begins with.
struct Head<'a> {
    time: u64,
    process: &'a str,
    kind: Kind,
    f: &'a str,
}

impl<W: Write> Exporter<W> {
    fn head(&mut self, header: &Header, found: &BTreeSet<&str>) -> io::Result<()> {
        let sub_via = match header.subscribed_by {
            SubscribedBy::Assign => ":assign",
            SubscribedBy::Subscribe => ":subscribe",
        };
        let Header { ww_deps, seed, .. } = header;
        let found: Vec<String> = found.iter().map(|name| format!(":{name}")).collect();
        let found = found.join(" ");
        writeln!(
            self.out,
            "; {{:sub-via #{{{sub_via}}} :ww-deps {ww_deps} :seed {seed} :found #{{{found}}}}}"
        )
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Operation::FinalRead(replica) = &event.operation {
            return self.final_read(event, replica);
        }
        let mut value = std::mem::take(&mut self.text);
        value.clear();
        let f = event.operation.name();
        let wanted = match (&event.operation, event.process) {
            (Operation::Fault(fault), _) => {
                fault_value(&mut value, fault);
                true
            }
            (
                Operation::Assign(keys)
                | Operation::Subscribe(keys)
                | Operation::DebugTopicPartitions(keys),
                Process::Client(_),
            ) => {
                keys_value(&mut value, keys);
                true
            }
            (Operation::Crash, Process::Client(_)) => {
                value.push_str("nil");
                true
            }
            (operation, Process::Client(_)) => {
                operation.micros().inspect(|micros| micros_value(&mut value, micros)).is_some()
            }
            _ => false,
        };
        if wanted {
            extras(&mut value, event);
            let process = match event.process {
                Process::Client(number) => number.to_string(),
                Process::Nemesis | Process::Observer => ":nemesis".to_owned(),
            };
            let head = Head { time: event.time, process: &process, kind: event.kind, f };
            self.line(&head, &value)?;
        }
        self.text = value;
        Ok(())
    }

    /// A copy becomes an assignment to its beginning and polls, by a process that does nothing else.
    fn final_read(&mut self, event: &Event, replica: &Replica) -> io::Result<()> {
        if event.kind != Kind::Ok {
            return Ok(());
        }
        let count = u32::try_from(self.finals.len()).unwrap_or(u32::MAX);
        let copy = (replica.node.clone(), replica.key, replica.round);
        let known = self.finals.contains_key(&copy);
        let process = *self.finals.entry(copy).or_insert(FINAL_PROCESS_FIRST.saturating_add(count));
        let process = process.to_string();
        let line = |kind, f| Head { time: event.time, process: &process, kind, f };
        if !known {
            let assigned = format!("[{}] :seek-to-beginning? true", replica.key);
            self.line(&line(Kind::Invoke, "assign"), &assigned)?;
            self.line(&line(Kind::Ok, "assign"), &assigned)?;
        }
        self.line(&line(Kind::Invoke, "poll"), "[[:poll]]")?;
        let mut value = "[[:poll {".to_owned();
        records_value(&mut value, replica.key, &replica.records);
        value.push_str("}]]");
        self.line(&line(Kind::Ok, "poll"), &value)
    }

    fn line(&mut self, head: &Head<'_>, value: &str) -> io::Result<()> {
        let Head { time, process, kind, f } = head;
        let (index, kind) = (self.next, kind.name());
        self.next += 1;
        writeln!(
            self.out,
            "{{:index {index} :time {time} :process {process} :type :{kind} :f :{f} :value {value}}}"
        )
    }
}

/// Appends to a string, which cannot fail.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {
        write!($text, $($arguments)*).expect("a string takes everything")
    };
}

fn keys_value(text: &mut String, keys: &[Key]) {
    text.push('[');
    for (place, key) in keys.iter().enumerate() {
        put!(text, "{}{key}", if place == 0 { "" } else { " " });
    }
    text.push(']');
}

fn micros_value(text: &mut String, micros: &[Micro]) {
    text.push('[');
    for (place, micro) in micros.iter().enumerate() {
        if place > 0 {
            text.push(' ');
        }
        match micro {
            Micro::Send(key, sent) => match sent.offset {
                Some(offset) => put!(text, "[:send {key} [{offset} {}]]", sent.value),
                None => put!(text, "[:send {key} {}]", sent.value),
            },
            Micro::Poll(None) => text.push_str("[:poll]"),
            Micro::Poll(Some(polled)) => {
                text.push_str("[:poll {");
                for (place, (key, records)) in polled.iter().enumerate() {
                    if place > 0 {
                        text.push_str(", ");
                    }
                    records_value(text, *key, records);
                }
                text.push_str("}]");
            }
        }
    }
    text.push(']');
}

fn records_value(text: &mut String, key: Key, records: &[Seen]) {
    put!(text, "{key} [");
    for (place, seen) in records.iter().enumerate() {
        let space = if place == 0 { "" } else { " " };
        put!(text, "{space}[{} {}]", seen.offset, seen.value);
    }
    text.push(']');
}

fn fault_value(text: &mut String, fault: &super::Fault) {
    text.push_str("{:nodes [");
    for (place, node) in fault.nodes.iter().enumerate() {
        put!(text, "{}{}", if place == 0 { "" } else { " " }, quoted(node));
    }
    text.push(']');
    for (name, amount) in &fault.effect {
        put!(text, ", {} {amount}", quoted(name));
    }
    text.push('}');
}

fn extras(text: &mut String, event: &Event) {
    let detail = &event.detail;
    if detail.seek_to_beginning {
        text.push_str(" :seek-to-beginning? true");
    }
    if !detail.rebalanced.is_empty() {
        text.push_str(" :rebalance-log [{:keys ");
        keys_value(text, &detail.rebalanced);
        text.push_str("}]");
    }
    if let Some(error) = &detail.error {
        put!(text, " :error {}", quoted(error));
    }
}

/// A string as EDN reads it: `"`, `\` and control characters escaped.
fn quoted(words: &str) -> String {
    let mut text = String::with_capacity(words.len() + 2);
    text.push('"');
    for letter in words.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other if other.is_control() => put!(text, "\\u{:04x}", u32::from(other)),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(history: &str, found: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        let found = found.iter().copied().collect();
        export(Reader::open(history.as_bytes()).unwrap(), &found, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_send_and_a_poll_are_what_the_original_reads() {
        let history = concat!(
            r#"{"history":1,"seed":7}"#,
            "\n",
            r#"{"i":3,"t":10,"p":0,"type":"invoke","f":"send","v":[["send",3,1007]]}"#,
            "\n",
            r#"{"i":4,"t":20,"p":0,"type":"ok","f":"send","v":[["send",3,[41,1007,99]]]}"#,
            "\n",
            r#"{"i":5,"t":30,"p":1,"type":"ok","f":"poll","v":[["poll",{"3":[[41,1007],[42,5]],"4":[]}]],"rebalanced":[3]}"#,
            "\n",
            r#"{"i":6,"t":30,"p":1,"type":"info","f":"send","v":[["send",3,9]],"error":"a \"b\""}"#,
            "\n",
        );
        assert_eq!(
            exported(history, &["lost-write", "G1a"]),
            [
                "; {:sub-via #{:assign} :ww-deps true :seed 7 :found #{:G1a :lost-write}}",
                "{:index 0 :time 10 :process 0 :type :invoke :f :send :value [[:send 3 1007]]}",
                "{:index 1 :time 20 :process 0 :type :ok :f :send :value [[:send 3 [41 1007]]]}",
                "{:index 2 :time 30 :process 1 :type :ok :f :poll :value [[:poll {3 [[41 1007] [42 5]], 4 []}]] :rebalance-log [{:keys [3]}]}",
                "{:index 3 :time 30 :process 1 :type :info :f :send :value [[:send 3 9]] :error \"a \\\"b\\\"\"}",
            ]
        );
    }

    #[test]
    fn a_final_read_is_an_assignment_to_the_beginning_and_polls() {
        let history = concat!(
            r#"{"history":1,"subscribed_by":"subscribe","ww_deps":false}"#,
            "\n",
            r#"{"i":0,"t":1,"p":5,"type":"ok","f":"final-read","v":{"node":"n1","key":2,"high_watermark":2,"records":[[0,7]]}}"#,
            "\n",
            r#"{"i":1,"t":2,"p":5,"type":"ok","f":"final-read","v":{"node":"n1","key":2,"high_watermark":2,"records":[[1,8]],"complete":true}}"#,
            "\n",
            r#"{"i":2,"t":3,"p":"nemesis","type":"info","f":"kill","v":{"stage":"once","nodes":["n1"],"effect":{"terms_advanced":1}}}"#,
            "\n",
        );
        assert_eq!(
            exported(history, &[]),
            [
                "; {:sub-via #{:subscribe} :ww-deps false :seed 0 :found #{}}",
                "{:index 0 :time 1 :process 1000000000 :type :invoke :f :assign :value [2] :seek-to-beginning? true}",
                "{:index 1 :time 1 :process 1000000000 :type :ok :f :assign :value [2] :seek-to-beginning? true}",
                "{:index 2 :time 1 :process 1000000000 :type :invoke :f :poll :value [[:poll]]}",
                "{:index 3 :time 1 :process 1000000000 :type :ok :f :poll :value [[:poll {2 [[0 7]]}]]}",
                "{:index 4 :time 2 :process 1000000000 :type :invoke :f :poll :value [[:poll]]}",
                "{:index 5 :time 2 :process 1000000000 :type :ok :f :poll :value [[:poll {2 [[1 8]]}]]}",
                "{:index 6 :time 3 :process :nemesis :type :info :f :kill :value {:nodes [\"n1\"], \"terms_advanced\" 1}}",
            ]
        );
    }
}
