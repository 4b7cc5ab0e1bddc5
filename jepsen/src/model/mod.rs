//! Histories that no cluster made: for tests of the checker, by hand and by a model.

pub mod tale;
