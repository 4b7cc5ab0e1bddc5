//! The result in `JUnit`'s XML: one test case per anomaly name, and one for the proof.

use std::fmt::Write as _;

use super::escaped;
use crate::check::{Name, Summary, Verdict};

pub(super) fn junit(summary: &Summary) -> String {
    let failures = summary.anomalies.len() + usize::from(summary.verdict == Verdict::Unknown);
    let tests = Name::ALL.len() + 1;
    let mut cases = String::new();
    for name in Name::ALL {
        let Some(count) = summary.anomalies.get(name) else {
            put(&mut cases, &format!("  <testcase classname=\"jepsen\" name=\"{name}\"/>\n"));
            continue;
        };
        let shown = summary.shown.iter().filter(|anomaly| anomaly.name == *name);
        let words: Vec<String> =
            shown.map(|one| format!("{} (events {:?})", one.what, one.events)).collect();
        put(
            &mut cases,
            &format!(
                "  <testcase classname=\"jepsen\" name=\"{name}\"><failure message=\"{name}: {count}, {}\">{}</failure></testcase>\n",
                escaped(name.meaning()),
                escaped(&words.join("\n")),
            ),
        );
    }
    let doubts = if summary.verdict == Verdict::Unknown {
        format!("<failure message=\"unknown\">{}</failure>", escaped(&summary.reasons.join("\n")))
    } else {
        String::new()
    };
    put(
        &mut cases,
        &format!("  <testcase classname=\"jepsen\" name=\"proof\">{doubts}</testcase>\n"),
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"jepsen {} seed {}\" tests=\"{tests}\" failures=\"{failures}\" time=\"{:.3}\">\n{cases}</testsuite>\n",
        escaped(&summary.workload),
        summary.seed,
        summary.seconds,
    )
}

fn put(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes everything");
}
