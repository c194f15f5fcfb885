//! How much happens in a configuration, and which rule of the protocol is left out.

/// What may happen, at most. The check covers every order in which it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Acts of people on either site: new worklogs, edits, deletes.
    pub acts: u8,
    /// Of these, new worklogs.
    pub logs: u8,
    /// Whether people also edit the text, besides the hours: two fields to merge.
    pub texts: bool,
    /// Workers, at most two.
    pub workers: usize,
    /// Deaths of a worker, before any of its steps.
    pub crashes: u8,
    /// Writes to a site of which nothing is heard: they took effect, or they did not.
    pub lost_answers: u8,
    /// Writes to a site of which nothing is heard, and which take effect later.
    pub late_effects: u8,
    /// Webhooks that are delivered once more.
    pub repeated_hints: u8,
    /// Webhooks that never arrive.
    pub lost_hints: u8,
    /// Minutes that pass while something is under way: a lease runs out after one.
    pub minutes: u8,
    /// Whether the sweep looks, once all is at rest.
    pub sweep: bool,
    /// The rule that is left out, to see the check fail.
    pub without: Option<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            acts: 2,
            logs: 1,
            texts: false,
            workers: 2,
            crashes: 0,
            lost_answers: 0,
            late_effects: 0,
            repeated_hints: 0,
            lost_hints: 0,
            minutes: 0,
            sweep: true,
            without: None,
        }
    }
}

/// A rule of the protocol that a configuration can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An intent is in the table before its write is sent.
    IntentBeforeWrite,
    /// A commit begins with the fence: who has lost the lease writes nothing.
    Fence,
    /// A row is written only as the next of the one that was seen, and begun only once.
    RowCondition,
    /// One worker at a time has a link.
    Lease,
    /// A row that a newer hint came to stays due.
    HintOutlivesFinish,
    /// The base holds both sides. Without it, B's is taken from what B says now.
    BaseOfBothSides,
    /// A pair has a base at all.
    Base,
    /// The listings are read before the table.
    ListingsBeforeTable,
    /// An absence is no proof of a delete.
    ProofOfDelete,
    /// A write is not sent any more when its intent has grown old.
    SentWhileFresh,
    /// A create of unknown outcome is looked for until `create_grace` after the attempt, and only then repeated.
    CreateGrace,
    /// An update or delete of unknown outcome is left alone for as long as its attempt may take effect.
    AttemptLasts,
    /// The webhooks, or the feeds that a sweep reads, tell of every delete.
    Evidence,
}
