//! What a strike measurably did.

use std::collections::BTreeMap;

/// Amounts, each with its unit in the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect(BTreeMap<&'static str, u64>);

impl Effect {
    /// Adds to an amount.
    pub fn add(&mut self, name: &'static str, amount: u64) {
        *self.0.entry(name).or_default() += amount;
    }

    /// With one more amount.
    #[must_use]
    pub fn with(mut self, name: &'static str, amount: u64) -> Self {
        self.add(name, amount);
        self
    }

    /// An amount; 0 if it was not measured.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// As the history has it.
    pub fn amounts(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
    }
}
