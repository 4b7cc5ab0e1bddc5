//! State Machine Safety (Raft, figure 3 and §5.4.3): what is committed never changes. A prefix that was
//! read once is a prefix of whatever is read later, on any replica.

pub fn check(earlier: &[String], later: &[String]) {
    assert!(
        later.starts_with(earlier),
        "what was committed changed: {} values before, {} after",
        earlier.len(),
        later.len()
    );
}
