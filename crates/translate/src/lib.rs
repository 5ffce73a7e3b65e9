//! Resources to Model and statuses, as a pure function.
