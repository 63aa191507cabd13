//! Prometheus' text exposition format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>: a family of metrics is a `HELP` and a `TYPE`
//! line and then its samples, all in one place.

use std::fmt::{Display, Write};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics as it is written.
#[derive(Debug, Default)]
pub struct Exposition {
    page: String,
}

impl Exposition {
    /// An empty page.
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help).sample("", &[], value);
    }

    /// A value that only goes up. Its name should end in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help).sample("", &[], value);
    }

    /// A gauge for each value of one label.
    pub fn gauges<L: Display, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        self.labelled(name, "gauge", help, label, values);
    }

    /// A counter for each value of one label.
    pub fn counters<L: Display, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        self.labelled(name, "counter", help, label, values);
    }

    /// Quantiles of what was observed, in the base unit (seconds), with how many there were and their sum.
    pub fn summary(
        &mut self,
        name: &str,
        help: &str,
        quantiles: impl IntoIterator<Item = (f64, f64)>,
        sum: f64,
        count: u64,
    ) {
        let mut family = self.family(name, "summary", help);
        for (quantile, value) in quantiles {
            family.sample("", &[("quantile", &quantile)], value);
        }
        family.sample("_sum", &[], sum);
        family.sample("_count", &[], count);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.page
    }

    fn labelled<L: Display, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        let mut family = self.family(name, kind, help);
        for (of, value) in values {
            family.sample("", &[(label, &of)], value);
        }
    }

    fn family<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> Family<'a> {
        debug_assert!(is_name(name), "{name:?} is no name of a metric");
        let page = &mut self.page;
        // Writing into a string does not fail, here and below.
        let _ = writeln!(page, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
        let _ = writeln!(page, "# TYPE {name} {kind}");
        Family { page, name }
    }
}

struct Family<'a> {
    page: &'a mut String,
    name: &'a str,
}

impl Family<'_> {
    fn sample(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.page.push_str(self.name);
        self.page.push_str(suffix);
        for (index, (label, of)) in labels.iter().enumerate() {
            let escaped = of.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.page, "{before}{label}=\"{escaped}\"");
        }
        if !labels.is_empty() {
            self.page.push('}');
        }
        let _ = writeln!(self.page, " {value}");
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_and_type_once_before_its_samples() {
        let mut page = Exposition::new();
        page.gauge("pool_idle", "Sandboxes that lie ready.", 3);
        page.counters("requests_total", "Requests.", "class", [("2xx", 10), ("5xx", 1)]);
        assert_eq!(
            page.finish(),
            "# HELP pool_idle Sandboxes that lie ready.\n\
             # TYPE pool_idle gauge\n\
             pool_idle 3\n\
             # HELP requests_total Requests.\n\
             # TYPE requests_total counter\n\
             requests_total{class=\"2xx\"} 10\n\
             requests_total{class=\"5xx\"} 1\n"
        );
    }

    #[test]
    fn a_summary_ends_in_sum_and_count() {
        let mut page = Exposition::new();
        page.summary("wait_seconds", "Waits.", [(0.5, 0.001), (0.99, 0.25)], 1.5, 12);
        let samples: Vec<_> = page.page.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "wait_seconds{quantile=\"0.5\"} 0.001",
                "wait_seconds{quantile=\"0.99\"} 0.25",
                "wait_seconds_sum 1.5",
                "wait_seconds_count 12"
            ]
        );
    }

    #[test]
    fn no_text_can_break_out_of_its_line_or_its_label() {
        let mut page = Exposition::new();
        page.gauges("odd", "a\nb\\", "of", [("x\"} 1\nforged 2\\", 7)]);
        assert_eq!(
            page.finish(),
            "# HELP odd a\\nb\\\\\n# TYPE odd gauge\nodd{of=\"x\\\"} 1\\nforged 2\\\\\"} 7\n"
        );
    }

    #[test]
    fn names_are_as_the_format_wants_them() {
        assert!(is_name("sandpool_pool_idle") && is_name("a:b_1"));
        assert!(!is_name("") && !is_name("1st") && !is_name("pool-idle"));
    }
}
