//! What a connection's configuration says about people, attributes and conflicts.

use std::collections::BTreeMap;

use crate::ids::{AccountId, Side, Sides};

/// The rules of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Accounts that belong to the same person: A's, then B's.
    pub authors: Vec<(AccountId, AccountId)>,
    /// What to do about an author of whom no account on the other side is known.
    pub unknown_author: UnknownAuthor,
    /// Work attributes that are kept the same.
    pub attributes: Vec<AttributeRule>,
    /// Values for attributes that have no source, by the side that they are written to.
    pub defaults: Sides<BTreeMap<String, String>>,
    /// How conflicts and deletes are settled.
    pub policy: Policy,
}

/// What to do about an author of whom no account on the other side is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownAuthor {
    /// The worklog waits.
    #[default]
    Park,
    /// The time goes to this account, with the person's name in the text.
    Account(AccountId),
}

/// One attribute that is kept the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeRule {
    /// Its key on each side.
    pub keys: Sides<String>,
    /// Values that correspond: A's, then B's. When empty, values are copied as they are.
    pub values: Vec<(String, String)>,
}

/// How conflicts and deletes are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Both sides changed the same field differently.
    pub conflict: ConflictPolicy,
    /// One side's worklog was deleted.
    pub delete: DeletePolicy,
    /// One side's worklog was deleted, and the other's edited.
    pub delete_vs_edit: DeleteVsEdit,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            conflict: ConflictPolicy::Newest,
            delete: DeletePolicy::Mirror,
            delete_vs_edit: DeleteVsEdit::Edit,
        }
    }
}

/// Who wins when both sides changed the same field differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// The side that was changed last.
    Newest,
    /// One particular side.
    Side(Side),
    /// Nobody: the pair waits.
    Park,
}

/// What happens to the twin of a deleted worklog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// It is deleted too.
    Mirror,
    /// It stays, and is left alone from then on.
    Keep,
    /// The pair waits.
    Park,
}

/// What wins when one side was deleted and the other edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteVsEdit {
    /// The edit: the deleted worklog comes back.
    Edit,
    /// The delete.
    Delete,
    /// The pair waits.
    Park,
}

/// What was looked up about people and attributes, for rendering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// People by their account, under the side that the account is on.
    pub people: Sides<BTreeMap<AccountId, Person>>,
    /// For each side's static-list attributes: stored value to shown name, by attribute key.
    pub names: Sides<BTreeMap<String, BTreeMap<String, String>>>,
    /// The attributes that each side has at all, by key, and whether a worklog must have them; `None` where that was not
    /// asked.
    pub defined: Sides<Option<BTreeMap<String, bool>>>,
}

/// What was looked up about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Their account on the other side; `None` when it was looked for and there is none.
    pub other: Option<AccountId>,
    /// Their name, for the text of a fallback.
    pub display_name: Option<String>,
}

impl Rules {
    /// Returns the account that stands for unknown authors, if the rules name one.
    pub fn fallback(&self) -> Option<&AccountId> {
        match &self.unknown_author {
            UnknownAuthor::Park => None,
            UnknownAuthor::Account(account) => Some(account),
        }
    }

    /// Returns the account that the explicit map gives for an account of one side.
    pub fn mapped(&self, from: Side, account: &AccountId) -> Option<&AccountId> {
        self.authors.iter().find_map(|(a, b)| match from {
            Side::A if a == account => Some(b),
            Side::B if b == account => Some(a),
            _ => None,
        })
    }

    /// Returns the same rules with the sides exchanged.
    pub fn swap(self) -> Self {
        let conflict = match self.policy.conflict {
            ConflictPolicy::Side(side) => ConflictPolicy::Side(side.other()),
            other => other,
        };
        Self {
            authors: self.authors.into_iter().map(|(a, b)| (b, a)).collect(),
            unknown_author: self.unknown_author,
            attributes: self
                .attributes
                .into_iter()
                .map(|rule| AttributeRule {
                    keys: rule.keys.swap(),
                    values: rule.values.into_iter().map(|(a, b)| (b, a)).collect(),
                })
                .collect(),
            defaults: self.defaults.swap(),
            policy: Policy {
                conflict,
                ..self.policy
            },
        }
    }
}
