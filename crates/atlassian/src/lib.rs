//! tandem-atlassian
