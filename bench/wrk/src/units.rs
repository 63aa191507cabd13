//! wrk's units: what its arguments accept, and how its report writes numbers.

use std::time::Duration;

/// A count as wrk takes it: a whole number, or one with `k`, `M` or `G`.
///
/// # Errors
/// A sentence that says what was got and what is accepted.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is no count: a whole number is, and one with k, M or G (1k is 1000)");
    let scale = match text.chars().last() {
        Some('k' | 'K') => 1_000,
        Some('m' | 'M') => 1_000_000,
        Some('g' | 'G') => 1_000_000_000,
        _ => 1_u64,
    };
    let digits = if scale == 1 { text } else { &text[..text.len() - 1] };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse());
    }
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(scale)).ok_or_else(refuse)
}

/// A rate: a count, or a decimal number, a second. Above 0.
///
/// # Errors
/// A sentence that says what was got and what is accepted.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = match text.parse::<f64>() {
        Ok(rate) => rate,
        Err(_) => parse_count(text)? as f64,
    };
    if rate.is_finite() && (0.001..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("{text:?} is no rate: 0.001 to 1G messages a second are"))
    }
}

/// The longest duration that is accepted: a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A duration as wrk takes it: seconds, or a number with `us`, `ms`, `s`, `m` or `h`.
///
/// # Errors
/// A sentence that says what was got and what is accepted.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let scale = match &text[split..] {
        "us" => Some(1e-6),
        "ms" => Some(1e-3),
        "" | "s" | "S" => Some(1.0),
        "m" | "M" => Some(60.0),
        "h" | "H" => Some(3600.0),
        _ => None,
    };
    let number = &text[..split];
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match (scale, number.parse::<f64>()) {
        (Some(scale), Ok(number)) if plain && number * scale <= LONGEST.as_secs_f64() => {
            Ok(Duration::from_secs_f64(number * scale))
        }
        _ => Err(format!(
            "{text:?} is no time: seconds are, or a number with us, ms, s, m or h, at most a week"
        )),
    }
}

/// A number of nanoseconds in the unit that suits it: `635.91us`, `12.92ms`, `1.50s`, `2.00m`.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        under if under < 999_995.0 => format!("{:.2}us", under / 1e3),
        under if under < 999_995_000.0 => format!("{:.2}ms", under / 1e6),
        under if under < 60e9 => format!("{:.2}s", under / 1e9),
        under if under < 3600e9 => format!("{:.2}m", under / 60e9),
        over => format!("{:.2}h", over / 3600e9),
    }
}

/// `number` on the right of `width` characters as wrk has them: its unit stands in the last two, which stay empty without one,
/// so that numbers are beneath each other.
pub(crate) fn aligned(number: &str, width: usize) -> String {
    let unit = number.bytes().rev().take(2).filter(u8::is_ascii_alphabetic).count();
    let blank = 2 - unit;
    format!("{number:>0$}{1:2$}", width - blank, "", blank)
}

/// A number in thousands: `56.20`, `56.20k`, `1.25M`.
pub(crate) fn metric(number: f64) -> String {
    scaled(number, 1000.0, ["", "k", "M", "G", "T"])
}

/// Bytes in units of 1,024: `606.33MB`.
pub(crate) fn binary(bytes: f64) -> String {
    scaled(bytes, 1024.0, ["B", "KB", "MB", "GB", "TB"])
}

/// The length of a run: `30s`, `2m`, `1h`.
pub(crate) fn run_length(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        whole if seconds.fract() != 0.0 || whole == 0 => time(seconds * 1e9),
        whole if whole % 3600 == 0 => format!("{}h", whole / 3600),
        whole if whole % 60 == 0 => format!("{}m", whole / 60),
        whole => format!("{whole}s"),
    }
}

fn scaled(number: f64, base: f64, units: [&str; 5]) -> String {
    let mut number = number;
    let mut unit = 0;
    while number >= base * 0.999_995 && unit + 1 < units.len() {
        number /= base;
        unit += 1;
    }
    format!("{number:.2}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_wrks_units() {
        assert_eq!(parse_count("100"), Ok(100));
        assert_eq!(parse_count("15k"), Ok(15_000));
        assert_eq!(parse_count("2M"), Ok(2_000_000));
        for bad in ["", "k", "-1", "1.5", "1kk", "10s", "99999999999999G"] {
            assert!(parse_count(bad).unwrap_err().contains("no count"), "{bad}");
        }
    }

    #[test]
    fn rates_may_be_decimal_but_are_above_zero() {
        assert_eq!(parse_rate("2k"), Ok(2_000.0));
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "fast", "2000000000"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, seconds) in
            [("30", 30.0), ("30s", 30.0), ("2m", 120.0), ("1h", 3600.0), ("250ms", 0.25), ("1.5s", 1.5)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for bad in ["", "s", "30x", "-1s", "1e3s", "1.2.3s", "30 s", "9999h"] {
            assert!(parse_time(bad).unwrap_err().contains("no time"), "{bad}");
        }
    }

    #[test]
    fn numbers_are_beneath_each_other_whatever_their_units() {
        let all = ["635.91us", "1.50s", "56.20k", "486.83"].map(|number| aligned(number, 10));
        assert_eq!(all, ["  635.91us", "    1.50s ", "   56.20k ", "  486.83  "]);
    }

    #[test]
    fn numbers_are_written_as_wrk_does() {
        assert_eq!(time(635_910.0), "635.91us");
        assert_eq!(time(12_920_000.0), "12.92ms");
        assert_eq!(time(999_999.0), "1.00ms");
        assert_eq!(time(1.5e9), "1.50s");
        assert_eq!(time(90e9), "1.50m");
        assert_eq!(metric(56_200.0), "56.20k");
        assert_eq!(metric(12.0), "12.00");
        assert_eq!(binary(606.33 * 1024.0 * 1024.0), "606.33MB");
        assert_eq!(run_length(Duration::from_secs(30)), "30s");
        assert_eq!(run_length(Duration::from_secs(120)), "2m");
        assert_eq!(run_length(Duration::from_millis(250)), "250.00ms");
    }
}
