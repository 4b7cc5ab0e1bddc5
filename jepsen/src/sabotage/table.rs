//! What came of all hunts, as a table for a person.

use std::fmt;

use super::hunt::Catch;

/// Signs of one row.
const SIGNS_SHOWN: usize = 3;

/// All hunts.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Table {
    /// In the order in which they ended.
    pub catches: Vec<Catch>,
}

impl Table {
    /// Whether every bug was found and every control was valid.
    pub fn is_good(&self) -> bool {
        self.catches.iter().all(|catch| catch.good)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| planted | exposed by | found as | runs | seconds |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for catch in &self.catches {
            writeln!(f, "{catch}")?;
        }
        let bad = self.catches.iter().filter(|catch| !catch.good).count();
        write!(f, "{} as they have to be, {bad} not", self.catches.len() - bad)
    }
}

impl fmt::Display for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults =
            if self.faults.is_empty() { "load alone".into() } else { self.faults.join(", ") };
        let found = match (self.good, self.signs.as_slice()) {
            (true, []) => "valid".to_owned(),
            (true, signs) => shown(signs),
            (false, []) => format!("**not found**: {}", self.words),
            (false, signs) => format!("**not as it has to be**: {}", shown(signs)),
        };
        let (name, runs, seconds) = (&self.name, self.runs, self.seconds);
        write!(f, "| {name} | {faults} | {found} | {runs} | {seconds:.0} |")
    }
}

/// The first few: one bug shows in many ways.
fn shown(signs: &[String]) -> String {
    let first = signs.get(..SIGNS_SHOWN).unwrap_or(signs).join(", ");
    match signs.len().saturating_sub(SIGNS_SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catch(name: &str, good: bool, signs: &[&str]) -> Catch {
        Catch {
            name: name.to_owned(),
            good,
            faults: vec!["kill-leader"],
            signs: signs.iter().map(|sign| (*sign).to_owned()).collect(),
            words: "valid: ".to_owned(),
            runs: 2,
            seconds: 41.6,
            seed: 1,
        }
    }

    #[test]
    fn one_bug_that_is_not_found_fails_the_table_and_is_seen_in_it() {
        let mut table = Table { catches: vec![catch("a", true, &["missing-acked"])] };
        assert!(table.is_good());
        assert!(table.to_string().contains("| a | kill-leader | missing-acked | 2 | 42 |"));
        let many = catch("c", true, &["s1", "s2", "s3", "s4", "s5"]).to_string();
        assert!(many.contains("| s1, s2, s3 and 2 more |"), "{many}");
        table.catches.push(catch("b", false, &[]));
        assert!(!table.is_good());
        let text = table.to_string();
        assert!(text.contains("| b | kill-leader | **not found**: valid:  | 2 | 42 |"), "{text}");
        assert!(text.ends_with("1 as they have to be, 1 not"), "{text}");
    }
}
