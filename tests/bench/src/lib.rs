//! Instruction counts and resident memory of Tandem, held against kept figures.
