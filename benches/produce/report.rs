//! Results as a table for people or as JSON.

use crate::cell::Line;
use crate::failover::Failover;
use crate::idle::Idle;
use serde_json::{Value, json};

pub struct Table {
    table: comfy_table::Table,
    json: Value,
}

impl Table {
    fn new(header: &[&str], rows: Vec<Vec<String>>, json: Value) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(header).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        Self { table, json }
    }

    pub fn print(&self) {
        println!("{}", self.table);
    }

    pub fn print_json(&self) {
        println!("{}", self.json);
    }
}

pub fn produce(lines: &[Line]) -> Table {
    let rows = lines.iter().map(|line| {
        vec![
            line.cell.to_owned(),
            line.clients.to_string(),
            line.partitions.to_string(),
            format!("{:.0}", line.records_per_second),
            format!("{:.1}", line.megabytes_per_second),
            format!("{:.1}", line.p50_ms),
            format!("{:.1}", line.p99_ms),
            format!("{:.2}", line.node_cpu_per_million),
            format!("{:.2}", line.client_cpu_per_million),
            format!("{:.0}", line.file_megabytes_per_second),
            format!("{:.3}", line.of_file),
            format!("{:.0}", line.echo_records_per_second),
            format!("{:.3}", line.of_echo),
            format!("{}/{}", line.consumed, line.acknowledged),
            format!("{:.0}", line.consume_megabytes_per_second),
        ]
    });
    let header = [
        "cell",
        "clients",
        "partitions",
        "records/s",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "CPU s/M nodes",
        "clients",
        "file MB/s",
        "of file",
        "echo rec/s",
        "of echo",
        "consumed/acknowledged",
        "read MB/s",
    ];
    Table::new(&header, rows.collect(), json!(lines))
}

pub fn idle(idle: &Idle) -> Table {
    let rows = idle.nodes.iter().map(|node| {
        vec![
            format!("node {}", node.node),
            format!("{:.1}", node.empty_cpu_percent),
            format!("{:.0}", node.empty_resident_megabytes),
            format!("{:.1}", node.cpu_percent),
            format!("{:.0}", node.resident_megabytes),
            node.threads.to_string(),
            format!("{:.2}", idle.all_led_seconds),
            format!("{:.2}", idle.all_in_sync_seconds),
        ]
    });
    let header = [
        "",
        "empty: CPU %",
        "RSS MB",
        "300 partitions: CPU %",
        "RSS MB",
        "threads",
        "all led s",
        "all in sync s",
    ];
    Table::new(&header, rows.collect(), json!(idle))
}

pub fn failover(failover: &Failover) -> Table {
    let gaps: Vec<String> = failover.gaps_ms.iter().map(|gap| format!("{gap:.0}")).collect();
    let row = vec![
        "ms without an acknowledgement".to_owned(),
        format!("{:.0}", failover.p50_ms),
        format!("{:.0}", failover.max_ms),
        format!("{:.2}", failover.acknowledgement_p50_ms),
        gaps.join(" "),
    ];
    let header = ["kill -9 of the leader", "p50", "max", "steady p50", "all"];
    Table::new(&header, vec![row], json!(failover))
}
