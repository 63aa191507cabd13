//! The pool, over real coroutines: each test is named after the property it shows.

mod ends;
mod home;
mod line;
mod model;
mod overflow;
mod returns;
mod stress;
mod support;
mod upkeep;
