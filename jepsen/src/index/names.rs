//! Names as small numbers.

use std::collections::BTreeMap;

/// Gives each name a number, once.
#[derive(Default)]
pub struct Names {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name, given now if it has none.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer names than events");
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> &str {
        usize::try_from(number)
            .ok()
            .and_then(|place| self.names.get(place))
            .map_or("?", String::as_str)
    }
}
