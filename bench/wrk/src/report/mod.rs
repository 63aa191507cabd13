//! What a run found: [`text`] for people (wrk's), [`json`] for programs, [`hgrm`] for HdrHistogram's plotter.

pub mod hgrm;
pub mod json;
pub mod text;

use crate::totals::Totals;

/// How evenly the connections were served: the fewest, the median and the most answers of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Evenness {
    least: u64,
    median: u64,
    most: u64,
}

impl Evenness {
    fn of(totals: &Totals) -> Option<Self> {
        let mut answers = totals.per_connection.clone();
        answers.sort_unstable();
        let (&least, &most) = (answers.first()?, answers.last()?);
        Some(Self { least, median: answers[answers.len() / 2], most })
    }
}
