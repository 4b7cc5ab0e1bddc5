//! The proof of the harness: bugs are planted in the product, and it has to find every one of them.
//!
//! ```text
//!   Trial   a planted bug, what exposes it, and the names under which it has to be found
//!   Hunt    runs of a trial with new seeds, until it is found or its time is over
//!   Table   what came of all hunts
//! ```
//!
//! A bug that is not found says that the harness is blind there, and fails the whole. So does a control, a
//! run of the very same build with all the same harm and no bug awake, that is not valid: who finds bugs
//! where there are none has found nothing.

mod hunt;
mod table;
mod trial;

pub use hunt::{Catch, Ground, Hunt};
pub use table::Table;
pub use trial::{Sign, TRIALS, Trial};
