//! End-to-end tests of smidgen.
