//! What a worklog says, in words that are the same on both sites.

use tandem_sim::{SiteHandle, Worklog};

use crate::world::{ACCOUNTS, LINKS, MAPPED, OWN, PEOPLE, key};

/// The fields that are kept the same.
pub(crate) const FIELDS: [&str; 8] = [
    "issue", "author", "date", "start", "seconds", "billable", "text", "account",
];

/// The place of `issue` in [`FIELDS`].
pub(crate) const ISSUE: usize = 0;

/// What stands in `issue` for one without a twin.
pub(crate) const ELSEWHERE: &str = "an issue without a twin";

/// What a worklog says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// By [`FIELDS`].
    pub(crate) fields: [String; FIELDS.len()],
    /// The attribute that the side has for itself.
    pub(crate) own: String,
}

impl Said {
    pub(crate) fn linked(&self) -> bool {
        self.fields[ISSUE] != ELSEWHERE
    }

    /// Returns the number by which a worklog is known on both sites: the first word of its text.
    pub(crate) fn tag(&self) -> Option<u32> {
        self.fields[6].split(' ').next()?.strip_prefix('#')?.parse().ok()
    }

    /// Returns the fields that differ, by their places.
    pub(crate) fn differences(&self, other: &Said) -> Vec<usize> {
        (0..FIELDS.len())
            .filter(|field| self.fields[*field] != other.fields[*field])
            .collect()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.fields.join(" | "))?;
        if self.own.is_empty() {
            Ok(())
        } else {
            write!(f, " | own {}", self.own)
        }
    }
}

/// Reads worklogs of one side.
#[derive(Debug)]
pub(crate) struct Reader {
    side: usize,
    /// Ids of the linked issues, by link.
    issues: Vec<u64>,
}

impl Reader {
    pub(crate) fn new(side: usize, site: &SiteHandle) -> Self {
        Self {
            side,
            issues: (0..LINKS).map(|link| site.issue_id(&key(side, link))).collect(),
        }
    }

    pub(crate) fn read(&self, worklog: &Worklog) -> Said {
        let link = self.issues.iter().position(|issue| *issue == worklog.issue);
        let person = PEOPLE
            .iter()
            .position(|person| person[self.side] == worklog.author);
        let attribute = worklog.attributes.get(MAPPED[self.side]);
        let account = attribute.map(|value| {
            ACCOUNTS
                .iter()
                .position(|names| names[self.side] == value.as_str())
                .map_or_else(|| format!("{value}?"), |n| format!("account {n}"))
        });
        Said {
            fields: [
                link.map_or_else(|| ELSEWHERE.to_owned(), |link| format!("link {}", link + 1)),
                person.map_or_else(|| format!("{}?", worklog.author), |n| PEOPLE[n][0].to_owned()),
                worklog.start_date.to_string(),
                worklog.start_time.to_string(),
                worklog.time_spent_secs.to_string(),
                worklog.billable_secs.to_string(),
                worklog.description.clone().unwrap_or_default(),
                account.unwrap_or_else(|| "no account".to_owned()),
            ],
            own: worklog.attributes.get(OWN).cloned().unwrap_or_default(),
        }
    }
}
