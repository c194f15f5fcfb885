//! What a person can ask and do: what waits, trying again, letting deletes through, looking ahead, undoing.
//!
//! Nothing here decides about worklogs. It reads the table, or writes down what a person decided, leaves a hint and lets
//! the next run act on it.

mod acts;
mod ahead;
mod called;
mod decide;
mod people;
mod queue;
mod read_only;
mod release;
mod strangers;
mod undelete;
mod unlinked;

pub use acts::{LinkAct, tell_of};
pub use ahead::{Proposal, ProposedOp};
pub use called::Called;
pub use decide::{Decision, Resolved};
pub(crate) use people::is_assigned;
pub use people::{Assigned, How, Matched, Standing};
pub use queue::{BadQueueId, ItemState, QueueId, QueueItem, Retried};
pub use read_only::ReadOnly;
pub(crate) use strangers::guess;
pub use strangers::{Guesses, Stranger, Strangers};
pub use undelete::Undeleted;
