mod conformance;
mod fixture;
mod precedence;
mod scale;
