"""The table: a tier each, a cell each, a line a system; the median of the rounds."""

from statistics import median

COLUMNS = (
    ("records/s", "records_per_second", ",.0f"),
    ("MB/s", "megabytes_per_second", ".2f"),
    ("p50 ms", "p50_ms", ".1f"),
    ("p99 ms", "p99_ms", ".1f"),
    ("broker CPU s/M", "broker_cpu_per_million", ".1f"),
    ("client CPU s/M", "client_cpu_per_million", ".1f"),
    ("fsyncs/1,000", "fsyncs_per_thousand", ".2f"),
    ("disk B/B", "written_per_byte", ".1f"),
    ("others' cores", "others_cores", ".2f"),
)


def lines(report: dict) -> list[str]:
    text = []
    cells = report["cells"]
    for tier, cell in dict.fromkeys((one["tier"], one["cell"]) for one in cells):
        rows = [one for one in cells if (one["tier"], one["cell"]) == (tier, cell)]
        text += ["", f"**{tier}, {cell}**", ""]
        text.append("| system | " + " | ".join(head for head, _, _ in COLUMNS) + " |")
        text.append("|---|" + "---:|" * len(COLUMNS))
        for system in report["systems"]:
            runs = [one for one in rows if one["system"] == system]
            if not runs:
                continue
            values = (format(median(run[key] for run in runs), form) for _, key, form in COLUMNS)
            note = "" if all(run["tier_proven"] for run in runs) else " (tier not proven)"
            failed = sum(run["failed"] for run in runs)
            note += f" ({failed} failed)" if failed else ""
            text.append(f"| {system}{note} | " + " | ".join(values) + " |")
    return text + failovers(report)


def failovers(report: dict) -> list[str]:
    if not report["failovers"]:
        return []
    text = ["", "**kill -9 of the leader**: longest time without an acknowledgement", ""]
    text += ["| system | tier | kills | least ms | p50 ms | most ms |", "|---|---|" + "---:|" * 4]
    for system in report["systems"]:
        own = [one for one in report["failovers"] if one["system"] == system]
        gaps = sorted(gap for one in own for gap in one["gaps_ms"])
        if gaps:
            values = " | ".join(f"{ms:,.0f}" for ms in (gaps[0], median(gaps), gaps[-1]))
            text.append(f"| {system} | {own[0]['tier']} | {len(gaps)} | {values} |")
    return text
