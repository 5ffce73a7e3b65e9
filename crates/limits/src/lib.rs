//! The connection ledger: cells, limits, slots.
