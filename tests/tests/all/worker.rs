//! The worker, led by a scripted host.

mod restore;
mod rounds;
mod setup;
