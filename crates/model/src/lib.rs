//! A small model of Tandem's protocol, checked in every interleaving.
