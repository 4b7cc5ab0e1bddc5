//! Entries in sled.
