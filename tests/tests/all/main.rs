//! All end-to-end tests, in one program, so that it is linked once.

mod absence;
mod accuracy;
mod bytes;
mod commands;
mod emulated;
mod fuzz;
mod gradient;
mod images;
mod journal;
mod memory;
mod minibatches;
mod modules;
mod objectives;
mod oracle;
mod overrun;
mod quadratics;
mod references;
mod resume;
mod routes;
mod sealed;
mod simulation;
mod theory;
mod threads;
mod torture;
mod weights;
mod worker;
