//! Identifiers as types, so that two of them cannot be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

name_type! {
    /// A site's name in the configuration, such as `acme`.
    SiteName
}
name_type! {
    /// A connection's name in the configuration, such as `acme-globex`.
    ConnectionName
}
name_type! {
    /// An Atlassian account id: opaque, at most 128 characters, may contain `:`.
    AccountId
}
name_type! {
    /// Names one pair for its whole life: the side, site-wide id and link of the worklog it began with.
    PairId
}
number_type! {
    /// Jira's numeric issue id (a string in Jira's JSON, an integer in Tempo's).
    IssueId
}
number_type! {
    /// Tempo's `tempoWorklogId`. Never reused by Tempo.
    WorklogId
}
number_type! {
    /// Jira's id of the shadow that a Tempo worklog has in Jira.
    JiraWorklogId
}

/// One of the two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The connection's `a`.
    A,
    /// The connection's `b`.
    B,
}

impl Side {
    /// Both sides, in order.
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    /// Returns the opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// Returns `a` or `b`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::A => "a",
            Side::B => "b",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sides<T> {
    /// The value on side A.
    pub a: T,
    /// The value on side B.
    pub b: T,
}

impl<T> Sides<T> {
    /// Puts two values together.
    pub fn new(a: T, b: T) -> Self {
        Self { a, b }
    }

    /// Makes a value for each side.
    pub fn from_fn(mut f: impl FnMut(Side) -> T) -> Self {
        Self {
            a: f(Side::A),
            b: f(Side::B),
        }
    }

    /// Converts each value.
    pub fn map<U>(self, mut f: impl FnMut(Side, T) -> U) -> Sides<U> {
        Sides {
            a: f(Side::A, self.a),
            b: f(Side::B, self.b),
        }
    }

    /// Borrows each value.
    pub fn as_ref(&self) -> Sides<&T> {
        Sides {
            a: &self.a,
            b: &self.b,
        }
    }

    /// Returns the same values with the sides exchanged.
    pub fn swap(self) -> Self {
        Self { a: self.b, b: self.a }
    }
}

impl<T> std::ops::Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
}

impl<T> std::ops::IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}

/// Two issues that are twins in a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkKey {
    /// The connection.
    pub connection: ConnectionName,
    /// The issue on side A.
    pub a: IssueId,
    /// The issue on side B.
    pub b: IssueId,
}

impl LinkKey {
    /// Returns the issue on one side.
    pub fn issue(&self, side: Side) -> IssueId {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }
}

impl fmt::Display for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}~{}", self.connection, self.a, self.b)
    }
}
