//! Seeded simulation of the whole engine: faults, crashes and people from one seed, and an observer.
