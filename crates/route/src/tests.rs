mod conformance;
mod fixture;
mod naive;
mod precedence;
mod scale;
