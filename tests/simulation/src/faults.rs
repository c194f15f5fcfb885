//! What may go wrong, by name: each can be switched off, to see which one a failure needs.

use std::collections::BTreeSet;

use tandem_sim::FaultOutcome;

macro_rules! faults {
    ($($name:ident $text:literal $what:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, in a sentence.
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

faults! {
    LostBefore "lost-before" "A request is lost before it takes effect.",
    LostAfter "lost-after" "A request takes effect, but its answer is lost.",
    Answer500 "500" "What a lost request may be answered with.",
    Answer502 "502" "The same.",
    Answer503 "503" "The same.",
    Reset "reset" "The connection of a lost request may break.",
    TimeOut "time-out" "Nothing may be heard of a lost request.",
    RateLimited "rate-limited" "A request is answered 429.",
    RetryAfter "retry-after" "A 429 may come with Retry-After.",
    NoRetryAfter "no-retry-after" "A 429 may come without Retry-After.",
    HalfAnswer "half-answer" "The answer's body breaks off.",
    SlowAnswer "slow-answer" "The answer comes late.",
    SlowRequest "slow-request" "A request takes effect some seconds after it was sent.",
    ListingLag "listing-lag" "Listings lag behind writes.",
    BrokenListing "broken-listing" "One issue's listing fails while the rest works.",
    Permission "permission" "Permissions are lost and regained; lists silently leave out what may not be seen.",
    Token "token" "The Tempo token expires and is renewed.",
    Period "period" "A period is closed and reopened.",
    BulkBusy "bulk-busy" "Somebody's bulk action holds an issue: 409.",
    WebhookLost "webhook-lost" "A webhook is lost.",
    WebhookDoubled "webhook-doubled" "A webhook comes twice.",
    WebhookLate "webhook-late" "A webhook comes hours late.",
    WebhookReordered "webhook-reordered" "Webhooks overtake one another.",
    WebhookForged "webhook-forged" "Somebody sends webhooks without knowing the secret.",
    StreamLost "stream-lost" "A stream record never reaches the worker.",
    StreamDoubled "stream-doubled" "A stream record reaches the worker twice.",
    ScheduleSkipped "schedule-skipped" "A scheduled pass does not happen.",
    ScheduleOverlap "schedule-overlap" "A scheduled pass runs twice at the same time.",
    AuditInStorm "audit-in-storm" "The audit runs while everything else goes wrong.",
    Kill "kill" "A process dies between two awaits.",
    LateKill "late-kill" "A process dies deep in a long look, hundreds of awaits after its start.",
    LateTimer "late-timer" "A timer wakes its process late, and the process may stand still or die there.",
    Stall "stall" "A process stands still for longer than its lease, and goes on.",
    ClockSkew "clock-skew" "Clocks of runners differ.",
    TableThrottled "table-throttled" "The table refuses a call, or is slow.",
    TableAnswerLost "table-answer-lost" "A write to the table takes effect, but its answer is lost.",
    TableCancelled "table-cancelled" "A transaction is cancelled by another one.",
    IndexLag "index-lag" "The table's index lags behind.",
    Publish "publish" "A configuration is published in mid-run.",
    Purge "purge" "A retention rule deletes worklogs, now and then by the hundred.",
    Ring "ring" "No fault, but as hard: three sites that are all connected with one another.",
    Chain "chain" "No fault: three sites, of which the middle one is connected with both others.",
    LastingCause "lasting-cause" "What something waits for lasts longer than the storm: a permission, a period, a token.",
    ClosedTrail "closed-trail" "No fault: Tempo's audit trail may not be read, or does not tell of deletes that were made in Jira.",
    SmallPages "small-pages" "No fault: Tempo puts few worklogs on a page, so that others come and go between two of them.",
    OtherWords "other-words" "No fault: one site has words of its own for the values of an attribute.",
    Timeless "timeless" "No fault: one site lets nobody set start times, and shows one of its own; people log alike but for the time of day.",
    DefaultText "default-text" "No fault: one site puts words of its own where a worklog has no text.",
    NoText "no-text" "No fault: people also log without a text, and clear one.",
    Robot "robot" "No fault: whoever has no account on the other site is written under another one, with their name in the text.",
    RareEdit "rare-edit" "No fault: people also hand a worklog to a colleague, make it non-billable, and clear its attributes.",
    IssueMoved "issue-moved" "An issue moves to another project and gets another key.",
}

/// What a lost request can look like, by the fault that stands for it.
pub const LOST_AS: [(Fault, FaultOutcome); 5] = [
    (Fault::Answer500, FaultOutcome::Status(500)),
    (Fault::Answer502, FaultOutcome::Status(502)),
    (Fault::Answer503, FaultOutcome::Status(503)),
    (Fault::Reset, FaultOutcome::Reset),
    (Fault::TimeOut, FaultOutcome::Hang),
];

/// Whether a 429 can tell `Retry-After`, by the fault that stands for it.
pub const LIMITED_AS: [(Fault, bool); 2] = [(Fault::RetryAfter, true), (Fault::NoRetryAfter, false)];

/// Faults that are kinds of others: none of them happens without one of those.
fn kinds() -> [(Vec<Fault>, Vec<Fault>); 2] {
    [
        (
            LOST_AS.map(|(kind, _)| kind).to_vec(),
            vec![Fault::LostBefore, Fault::LostAfter],
        ),
        (
            LIMITED_AS.map(|(kind, _)| kind).to_vec(),
            vec![Fault::RateLimited],
        ),
    ]
}

/// A rule of Tandem's that can be broken on purpose, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A worklog that is not there any more counts as deleted.
    ProofOfDelete,
    /// No intent is recorded before a create.
    IntentBeforeCreate,
    /// The base holds one side's content for both.
    BothSideBase,
    /// Leases and fences hold nobody back.
    Lease,
    /// What is about to be written is not remembered, so that nobody knows it when its webhook comes. That costs
    /// looks and no worklog, so it shows in worlds without faults, where looks are counted.
    Echo,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ProofOfDelete,
        Self::IntentBeforeCreate,
        Self::BothSideBase,
        Self::Lease,
        Self::Echo,
    ];
}

impl Rule {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProofOfDelete => "proof-of-delete",
            Self::IntentBeforeCreate => "intent-before-create",
            Self::BothSideBase => "both-side-base",
            Self::Lease => "lease",
            Self::Echo => "echo",
        }
    }
}

impl std::str::FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|rule| rule.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no rule `{text}`; there are {names}")
        })
    }
}

/// Which faults may happen, and which rule is broken, if one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    faults: BTreeSet<Fault>,
    /// The rule that is broken on purpose.
    pub broken: Option<Rule>,
}

impl Allowed {
    /// All of them.
    pub fn all() -> Self {
        Self {
            faults: Fault::ALL.iter().copied().collect(),
            broken: None,
        }
    }

    /// None of them.
    pub fn none() -> Self {
        Self {
            faults: BTreeSet::new(),
            broken: None,
        }
    }

    /// Only these. A fault that comes in several kinds comes in all of them where none is named, and a kind that is named
    /// stands for its fault.
    pub fn only(faults: &[Fault]) -> Self {
        let mut allowed = faults.iter().copied().fold(Self::none(), Self::with);
        for (kinds, of) in kinds() {
            let kind = kinds.iter().any(|kind| allowed.has(*kind));
            let fault = of.iter().any(|fault| allowed.has(*fault));
            match (kind, fault) {
                (true, false) => allowed.faults.extend(of),
                (false, true) => allowed.faults.extend(kinds),
                _ => {}
            }
        }
        allowed
    }

    /// The flags of the command that say the same.
    pub fn flags(&self) -> String {
        let off: Vec<Fault> = Fault::ALL
            .iter()
            .copied()
            .filter(|fault| !self.has(*fault))
            .collect();
        let mut flags = match self.is_calm() {
            true => " --calm".to_owned(),
            false => off
                .iter()
                .map(|fault| format!(" --without {}", fault.name()))
                .collect(),
        };
        if let Some(rule) = self.broken {
            flags.push_str(&format!(" --break {}", rule.name()));
        }
        flags
    }

    /// What could happen when only seeds of then were drawn: those that once broke a promise are the same lives with it.
    pub fn at_first(self) -> Self {
        self.at_second()
            .without(Fault::LateKill)
            .without(Fault::AuditInStorm)
    }

    /// The same a while later.
    pub fn at_second(self) -> Self {
        self.at_third()
            .without(Fault::LateTimer)
            .without(Fault::LastingCause)
    }

    /// And once more.
    pub fn at_third(self) -> Self {
        self.at_fourth().without(Fault::RareEdit).without(Fault::Chain)
    }

    /// And again.
    pub fn at_fourth(self) -> Self {
        self.at_fifth().without(Fault::ClosedTrail).without(Fault::Robot)
    }

    /// And lately.
    pub fn at_fifth(self) -> Self {
        self.at_sixth()
            .without(Fault::SmallPages)
            .without(Fault::OtherWords)
    }

    /// And just before sites had ways of their own with times of day and texts.
    pub fn at_sixth(self) -> Self {
        self.without(Fault::Timeless)
            .without(Fault::DefaultText)
            .without(Fault::NoText)
    }

    /// Adds one.
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.insert(fault);
        self
    }

    /// Takes one away.
    pub fn without(mut self, fault: Fault) -> Self {
        self.faults.remove(&fault);
        self
    }

    /// Breaks a rule.
    pub fn breaking(mut self, rule: Rule) -> Self {
        self.broken = Some(rule);
        self
    }

    /// Says whether one may happen.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Says whether nothing may go wrong.
    pub fn is_calm(&self) -> bool {
        let kinds = kinds();
        let is_kind = |fault: &Fault| kinds.iter().any(|(kinds, _)| kinds.contains(fault));
        self.faults.iter().all(is_kind)
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
                format!("there is no fault `{text}`; there are {}", names.join(", "))
            })
    }
}
