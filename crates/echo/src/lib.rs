//! Echo backends that stand in for well-known images.
