//! The server as its clients see it: HTTPS on a loopback port, a data directory of its own per test.

mod apply;
mod client;
mod crud;
mod custom;
mod deletion;
mod discovery;
mod hostile;
mod lifecycle;
mod logs;
mod pages;
mod patches;
mod protobuf;
mod reflectors;
mod watches;
