//! A history written by hand, for tests: each operation begins and ends at once unless it is told otherwise.

use std::collections::BTreeMap;

use crate::check::{Found, Summary};
use crate::history::{
    Commit, Committed, Detail, Event, GroupView, Header, Key, Kind, Membership, Micro, Operation,
    Process, Seen, Sent, Tail,
};
use crate::index::{Builder, Index};

/// A first key.
pub const X: Key = Key(0);
/// A second one.
pub const Y: Key = Key(1);

/// Key, offset, value; [`none`] for an offset that nobody told.
pub type Row = (Key, u64, u64);

/// No offset was told.
pub const fn none() -> u64 {
    u64::MAX
}

/// The micro-operation of one send.
pub fn sent(key: Key, offset: u64, value: u64) -> Micro {
    let offset = Some(offset).filter(|offset| *offset != none());
    Micro::Send(key, Sent { offset, value, crc: None })
}

/// The micro-operation of one poll.
pub fn polled(rows: &[Row]) -> Micro {
    let mut polled = BTreeMap::<Key, Vec<Seen>>::new();
    for (key, offset, value) in rows {
        polled.entry(*key).or_default().push(Seen { offset: *offset, value: *value, crc: None });
    }
    Micro::Poll(Some(polled))
}

/// An operation of sends.
pub fn send(rows: &[Row]) -> Operation {
    Operation::Send(rows.iter().map(|(key, offset, value)| sent(*key, *offset, *value)).collect())
}

/// An operation of one poll.
pub fn poll(rows: &[Row]) -> Operation {
    Operation::Poll(vec![polled(rows)])
}

/// A history that is being told.
#[derive(Clone, Default)]
pub struct Tale {
    /// Its first line.
    pub header: Header,
    /// Its events so far.
    pub events: Vec<Event>,
}

impl Tale {
    /// Begins with a header of defaults.
    pub fn new() -> Tale {
        Tale::default()
    }

    fn event(mut self, process: Process, kind: Kind, operation: Operation, detail: Detail) -> Tale {
        let index = u64::try_from(self.events.len()).expect("a tale is short");
        self.events.push(Event {
            index,
            time: index * 1_000_000,
            process,
            kind,
            operation,
            detail,
        });
        self
    }

    /// An operation begins.
    pub fn begin(self, process: u32, operation: Operation) -> Tale {
        self.event(Process::Client(process), Kind::Invoke, operation, Detail::default())
    }

    /// One ends.
    pub fn end(self, process: u32, kind: Kind, operation: Operation) -> Tale {
        self.end_with(process, kind, operation, |_| {})
    }

    /// One ends, and its answer tells more.
    pub fn end_with(
        self,
        process: u32,
        kind: Kind,
        operation: Operation,
        tell: impl FnOnce(&mut Detail),
    ) -> Tale {
        let mut detail = Detail::default();
        tell(&mut detail);
        self.event(Process::Client(process), kind, operation, detail)
    }

    /// An operation begins and ends.
    pub fn op(self, process: u32, kind: Kind, operation: Operation) -> Tale {
        self.begin(process, operation.clone()).end(process, kind, operation)
    }

    /// An operation begins and ends, and its answer tells more.
    pub fn op_with(
        self,
        process: u32,
        operation: Operation,
        tell: impl FnOnce(&mut Detail),
    ) -> Tale {
        self.begin(process, operation.clone()).end_with(process, Kind::Ok, operation, tell)
    }

    /// An answer that tells where the log starts.
    pub fn starts_at(self, log_start: u64) -> Tale {
        self.op_with(1, poll(&[]), |detail| {
            detail.log_starts.insert(X, log_start);
        })
    }

    /// A send.
    pub fn send(self, process: u32, kind: Kind, rows: &[Row]) -> Tale {
        self.op(process, kind, send(rows))
    }

    /// A poll.
    pub fn poll(self, process: u32, kind: Kind, rows: &[Row]) -> Tale {
        self.begin(process, Operation::Poll(vec![Micro::Poll(None)])).end(process, kind, poll(rows))
    }

    /// A transaction.
    pub fn txn(self, process: u32, kind: Kind, micros: Vec<Micro>) -> Tale {
        self.op(process, kind, Operation::Txn(micros))
    }

    /// An assignment.
    pub fn assign(self, process: u32, keys: &[Key]) -> Tale {
        self.assign_as(process, Kind::Ok, keys)
    }

    /// An assignment with another outcome.
    pub fn assign_as(self, process: u32, kind: Kind, keys: &[Key]) -> Tale {
        self.op(process, kind, Operation::Assign(keys.to_vec()))
    }

    /// A subscription.
    pub fn subscribe(self, process: u32, keys: &[Key]) -> Tale {
        self.op(process, Kind::Ok, Operation::Subscribe(keys.to_vec()))
    }

    /// A heartbeat of the group `g`, which says a generation and is granted these partitions in it.
    pub fn hold(self, process: u32, member: &str, generation: u64, assigned: &[Key]) -> Tale {
        let says = Membership {
            group: "g".to_owned(),
            member: member.to_owned(),
            generation: Some(generation),
            assigned: Vec::new(),
        };
        let granted = Membership { assigned: assigned.to_vec(), ..says.clone() };
        self.begin(process, Operation::Heartbeat(says)).end(
            process,
            Kind::Ok,
            Operation::Heartbeat(granted),
        )
    }

    /// The coordinator's view of the group `g`, which it calls stable.
    pub fn view(self, generation: u64, members: &[(&str, &[Key])], subscribed: &[Key]) -> Tale {
        let members = members.iter().map(|(member, keys)| ((*member).to_owned(), keys.to_vec()));
        let view = GroupView {
            group: "g".to_owned(),
            generation: Some(generation),
            stable: true,
            members: members.collect(),
            subscribed: subscribed.to_vec(),
        };
        self.op(99, Kind::Ok, Operation::DescribeGroup(view))
    }

    /// A member of the group `g` commits, in the generation it says.
    pub fn commit(self, process: u32, kind: Kind, by: (&str, u64), offsets: &[(Key, u64)]) -> Tale {
        let (member, generation) = by;
        let commit = Commit {
            group: "g".to_owned(),
            member: member.to_owned(),
            generation: Some(generation),
            offsets: offsets.iter().copied().collect(),
            reset: false,
        };
        self.op(process, kind, Operation::Commit(commit))
    }

    /// Somebody asks what the group `g` has committed.
    pub fn committed(self, process: u32, offsets: &[(Key, Option<u64>)]) -> Tale {
        let committed =
            Committed { group: "g".to_owned(), offsets: offsets.iter().copied().collect() };
        self.op(process, Kind::Ok, Operation::Committed(committed))
    }

    /// A member of the group `g` polls.
    pub fn group_poll(self, process: u32, kind: Kind, member: &str, rows: &[Row]) -> Tale {
        self.begin(process, Operation::Poll(vec![Micro::Poll(None)])).end_with(
            process,
            kind,
            poll(rows),
            |detail| {
                detail.group = Some("g".to_owned());
                detail.member = Some(member.to_owned());
            },
        )
    }

    /// What the nemesis or the observer does.
    pub fn told(self, process: Process, operation: Operation) -> Tale {
        self.event(process, Kind::Info, operation, Detail::default())
    }

    /// The index of it.
    pub fn index(&self) -> Index {
        let mut builder = Builder::new(self.header.clone());
        self.events.iter().for_each(|event| builder.event(event));
        builder.finish(Tail::Whole)
    }

    /// What one check finds in it: `name key: what`.
    pub fn found(&self, check: fn(&Index) -> Found) -> Vec<String> {
        let found = check(&self.index());
        let key = |key: Option<Key>| key.map_or_else(String::new, |key| format!(" {key}"));
        found
            .shown
            .iter()
            .map(|anomaly| format!("{}{}: {}", anomaly.name, key(anomaly.key), anomaly.what))
            .collect()
    }

    /// What all checks find in it.
    pub fn summary(&self) -> Summary {
        crate::check::check(&self.index())
    }
}

/// A whole copy of a log that ends with the last of these records: offset and value.
pub fn final_read(node: &str, key: Key, rows: &[(u64, u64)]) -> crate::history::Replica {
    let records: Vec<Seen> = rows
        .iter()
        .map(|(offset, value)| Seen { offset: *offset, value: *value, crc: None })
        .collect();
    crate::history::Replica {
        node: node.to_owned(),
        key,
        high_watermark: records.last().map_or(0, |seen| seen.offset + 1),
        records,
        complete: true,
        ..crate::history::Replica::default()
    }
}
