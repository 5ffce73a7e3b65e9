//! What the API acknowledged is kept, whatever happens to the process, the disk and the file: kills, no space, damage.
//!
//! A few kills in the middle of 200 writes fit into every run; `WEIR_TEST_KILLS=50` makes it fifty, in the middle of 1,000 (four minutes).
//! `WEIR_TEST_SEED=N` makes other choices.
#![allow(clippy::print_stdout, reason = "the seed and the times are told")]

#[path = "strength/api.rs"]
mod api;
mod common;
#[path = "strength/damage.rs"]
mod damage;
#[path = "strength/full.rs"]
mod full;
#[path = "strength/kills.rs"]
mod kills;
#[path = "strength/ledger.rs"]
mod ledger;
#[path = "strength/random.rs"]
mod random;
#[path = "strength/served.rs"]
mod served;
#[path = "strength/server.rs"]
mod server;
