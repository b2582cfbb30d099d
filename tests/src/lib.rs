//! End-to-end tests of smidgen.

#[cfg(unix)]
pub mod pty;
