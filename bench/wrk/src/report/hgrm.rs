//! A latency distribution in the text format of HdrHistogram (`outputPercentileDistribution`), which its plotter
//! (<https://hdrhistogram.github.io/HdrHistogram/plotFiles.html>) draws; values are in milliseconds.

use std::fmt::Write;

use crate::histogram::Latencies;

const NANOS_A_MS: f64 = 1e6;
/// Lines for each halving of what is left up to 100 %: the format's default.
const TICKS_A_HALVING: u32 = 5;

/// The distribution.
pub fn spectrum(latencies: &Latencies) -> String {
    let histogram = latencies.raw();
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_A_HALVING) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to().min(histogram.max()) as f64 / NANOS_A_MS;
        let quantile = step.quantile_iterated_to();
        // a String takes everything
        let _ = if quantile < 1.0 {
            writeln!(out, "{value:12.3} {quantile:.12} {total:>10} {:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(out, "{value:12.3} {quantile:.12} {total:>10}")
        };
    }
    let (mean, stdev) = (histogram.mean() / NANOS_A_MS, histogram.stdev() / NANOS_A_MS);
    let max = histogram.max() as f64 / NANOS_A_MS;
    let _ = writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {stdev:12.3}]");
    let _ = writeln!(out, "#[Max     = {max:12.3}, Total count    = {:>12}]", histogram.len());
    let _ = writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        histogram.buckets(),
        2 * 10_u32.pow(u32::from(histogram.sigfig())).next_power_of_two()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_rise_to_the_last_one_which_has_all() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|at| latencies.record(at * 1_000));
        let text = spectrum(&latencies);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        assert!(rows.len() > 20, "{text}");
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]), "{text}");
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 10_000.0));
        assert!((last[0] - 10.0).abs() < 0.01, "{text}");
        assert!(text.lines().last().unwrap().starts_with("#[Buckets"), "{text}");
    }

    #[test]
    fn none_at_all_are_still_a_file() {
        assert!(spectrum(&Latencies::default()).contains("Total count    =            0"));
    }
}
