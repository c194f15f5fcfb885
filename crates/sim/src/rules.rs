//! What a site allows, and what it asks of a worklog.

/// What the service user may do in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Jira: see the project and its issues.
    Browse,
    /// Jira: log time.
    WorkOnIssues,
    /// Jira: edit one's own worklogs.
    EditOwn,
    /// Jira: delete one's own worklogs.
    DeleteOwn,
    /// Jira: edit everybody's worklogs.
    EditAll,
    /// Jira: delete everybody's worklogs.
    DeleteAll,
    /// Jira: edit issues, remote links among them.
    EditIssues,
    /// Jira: link issues.
    LinkIssues,
    /// Tempo: see everybody's worklogs.
    ViewAll,
    /// Tempo: log work for others.
    LogForOthers,
    /// Tempo: set billable hours.
    SetBillable,
}

impl Permission {
    /// Everything a service user needs.
    pub const ALL: [Self; 11] = [
        Self::Browse,
        Self::WorkOnIssues,
        Self::EditOwn,
        Self::DeleteOwn,
        Self::EditAll,
        Self::DeleteAll,
        Self::EditIssues,
        Self::LinkIssues,
        Self::ViewAll,
        Self::LogForOthers,
        Self::SetBillable,
    ];
}

/// What a Tempo token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read worklogs and work attributes.
    WorklogsView,
    /// Read and change worklogs and work attributes.
    WorklogsManage,
    /// Read periods.
    PeriodsView,
    /// Read approvals.
    ApprovalsView,
    /// Read the audit trail.
    AuditView,
    /// Read and change webhook subscriptions.
    WebhooksManage,
    /// Read the global configuration.
    ConfigurationView,
}

/// The type of a work attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    /// A Tempo account; its value is the account's key.
    Account,
    /// `true` or `false`.
    Checkbox,
    /// Any text.
    InputField,
    /// A number.
    InputNumeric,
    /// One of a list of values with names.
    StaticList,
    /// One of a list somebody else serves.
    DynamicDropdown,
}

impl AttributeKind {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Account => "ACCOUNT",
            Self::Checkbox => "CHECKBOX",
            Self::InputField => "INPUT_FIELD",
            Self::InputNumeric => "INPUT_NUMERIC",
            Self::StaticList => "STATIC_LIST",
            Self::DynamicDropdown => "DYNAMIC_DROPDOWN",
        }
    }
}

/// A work attribute's definition.
#[derive(Debug, Clone)]
pub struct AttributeSpec {
    /// The key, such as `_Account_`.
    pub key: String,
    /// The name shown.
    pub name: String,
    /// The type.
    pub kind: AttributeKind,
    /// Whether a worklog must carry it.
    pub required: bool,
    /// Values and their names, for a static list.
    pub values: Vec<(String, String)>,
}

impl AttributeSpec {
    /// Makes an optional attribute.
    pub fn new(key: impl Into<String>, name: impl Into<String>, kind: AttributeKind) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            kind,
            required: false,
            values: Vec::new(),
        }
    }

    /// Makes it required.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Adds a value of a static list with its name.
    pub fn value(mut self, value: impl Into<String>, name: impl Into<String>) -> Self {
        self.values.push((value.into(), name.into()));
        self
    }
}

/// A site's rules for logging time, as Tempo's global configuration shows them.
#[derive(Debug, Clone)]
pub struct GlobalConfiguration {
    /// Cap on one person's hours a day.
    pub max_hours_per_day: Option<i64>,
    /// How many days ahead time may be logged.
    pub days_into_future: Option<i64>,
    /// Whether a write may leave the remaining estimate out.
    pub remaining_estimate_optional: bool,
    /// Whether a worklog may be without description.
    pub description_optional: bool,
    /// Whether a closed account takes time.
    pub closed_accounts_allowed: bool,
    /// Whether start times are shown at all.
    pub start_times_enabled: bool,
}

impl Default for GlobalConfiguration {
    fn default() -> Self {
        Self {
            max_hours_per_day: None,
            days_into_future: None,
            remaining_estimate_optional: true,
            description_optional: true,
            closed_accounts_allowed: false,
            start_times_enabled: true,
        }
    }
}
