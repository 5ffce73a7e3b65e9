//! However a connection ends, its slot comes back: the kernel's table of sockets says what is open, and the limits must agree.
//!
//! Each way to end is taken by `WEIR_LEAK_CONNECTIONS` connections, a thousand at once. After each thousand the kernel must know of none
//! that is left and the limits must count none; after the last a full limit can be taken. A descriptor that leaked each time would not be
//! seen there, but would not last for the second way.
#![allow(unreachable_pub, reason = "the modules of a test have no other readers")]
#![allow(clippy::print_stdout, reason = "what the longest runs measure is for those who run them")]

#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod authority;
#[path = "../tls/bench.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod bench;
mod changes;
mod crowd;
mod edits;
mod origin;
mod overshoot;
mod plain;
mod secure;
mod slow;
#[path = "../support/mod.rs"]
mod support;
