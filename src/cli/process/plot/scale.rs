//! Axes: spans of values, round steps through them, and how values are written.

/// From one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Span {
    /// Where `value` lies: 0 at the beginning, 1 at the end.
    pub(super) fn share(self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }
}

/// Seconds between two marks: a round number that gives 4 to 12 of them, whatever the length.
pub(super) fn time_step(seconds: f64) -> f64 {
    const ROUND: [f64; 17] =
        [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0];
    let enough = |step: &f64| seconds / step <= 12.0;
    ROUND.into_iter().find(enough).unwrap_or_else(|| (seconds / 12.0 / 300.0).ceil() * 300.0)
}

/// As it stands under a mark.
pub(super) fn time_label(seconds: f64, step: f64) -> String {
    if step >= 60.0 {
        let whole = seconds.round() as u64;
        return format!("{}:{:02}", whole / 60, whole % 60);
    }
    let decimals = [1.0, 0.1, 0.01].iter().filter(|limit| step < **limit * 0.999).count();
    format!("{seconds:.decimals$}")
}

/// All multiples of `step` within `span`.
pub(super) fn multiples(step: f64, span: Span) -> impl Iterator<Item = f64> {
    let (first, last) = ((span.from / step - 1e-6).ceil() as i64, (span.to / step + 1e-6).floor() as i64);
    (first..=last).map(move |number| number as f64 * step)
}

/// Mel, which divides frequencies about as hearing does (D. O'Shaughnessy, "Speech Communication", 1987).
pub(super) fn mel(hz: f64) -> f64 {
    2_595.0 * (1.0 + hz / 700.0).log10()
}

/// The frequency of so many mel.
pub(super) fn hz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2_595.0) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_has_a_readable_number_of_marks() {
        for seconds in [0.003, 0.02, 0.7, 3.0, 7.1, 12.5, 59.0, 61.0, 600.0, 4_000.0, 100_000.0] {
            let marks = multiples(time_step(seconds), Span { from: 0.0, to: seconds }).count();
            assert!((3..=13).contains(&marks), "{marks} marks in {seconds} s");
        }
        assert_eq!(time_label(0.2, 0.1), "0.2");
        assert_eq!(time_label(7.0, 1.0), "7");
        assert_eq!(time_label(0.005, 0.005), "0.005");
        assert_eq!(time_label(125.0, 60.0), "2:05");
    }

    #[test]
    fn mel_and_back() {
        assert!((mel(1_000.0) - 1_000.0).abs() < 0.1);
        assert!((hz(mel(7_777.0)) - 7_777.0).abs() < 1e-6);
    }
}
