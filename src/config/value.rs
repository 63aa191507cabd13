//! The kinds of values a setting can have, and how people write them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A type of setting: how it is read, shown and compared with its bounds.
///
/// What [`show`](Value::show) writes, [`parse`](Value::parse) reads back as the same value.
pub(super) trait Value: Sized {
    /// What its bounds are given in.
    type Scale: PartialOrd;

    /// What people may write, for messages: "a whole number".
    fn form() -> String;
    /// Reads what a person wrote; `None` when it is not of the [`form`](Value::form).
    fn parse(text: &str) -> Option<Self>;
    /// Writes the value as a person would.
    fn show(&self) -> String;
    /// Writes a bound as a person would.
    fn show_bound(bound: &Self::Scale) -> String;
    /// What to compare with the bounds; `None` for a value outside of all comparison ("off").
    fn measure(&self) -> Option<&Self::Scale>;
}

/// Implements [`Value`] for a type that is its own scale.
macro_rules! own_scale {
    ($type:ty, $form:expr, $parse:expr, $show:expr) => {
        impl Value for $type {
            type Scale = $type;

            fn form() -> String {
                $form.into()
            }
            fn parse(text: &str) -> Option<Self> {
                $parse(text)
            }
            fn show(&self) -> String {
                $show(self)
            }
            fn show_bound(bound: &Self) -> String {
                $show(bound)
            }
            fn measure(&self) -> Option<&Self> {
                Some(self)
            }
        }
    };
}

own_scale!(usize, "a whole number", |text: &str| text.parse().ok(), usize::to_string);
own_scale!(u64, "a whole number", |text: &str| text.parse().ok(), u64::to_string);
own_scale!(
    SocketAddr,
    "an address and a port, as 127.0.0.1:9501 or [::1]:9501",
    parse_addr,
    |addr: &SocketAddr| addr.to_string()
);
own_scale!(bool, "true or false", parse_bool, bool::to_string);
own_scale!(
    Duration,
    "seconds, or a number with a unit: 250ms, 5s, 2m, 1h",
    parse_duration,
    |span: &Duration| { show_duration(*span) }
);
own_scale!(
    ByteSize,
    "bytes, or a number with a unit: 64KiB, 16MiB, 1GiB",
    ByteSize::parse,
    ByteSize::to_string
);
own_scale!(LogLevel, LogLevel::names(), LogLevel::parse, LogLevel::to_string);
own_scale!(LogFormat, LogFormat::names(), LogFormat::parse, LogFormat::to_string);

/// A setting that can be switched off.
impl<T: Value> Value for Option<T> {
    type Scale = T::Scale;

    fn form() -> String {
        format!("off, or {}", T::form())
    }
    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(None),
            text => T::parse(text).map(Some),
        }
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "off".into(), T::show)
    }
    fn show_bound(bound: &T::Scale) -> String {
        T::show_bound(bound)
    }
    fn measure(&self) -> Option<&T::Scale> {
        self.as_ref().and_then(T::measure)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    const UNITS: [(&'static str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

    /// That many bytes.
    pub const fn bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// That many times 1,024 bytes.
    pub const fn kib(count: u64) -> ByteSize {
        ByteSize(count << 10)
    }

    /// That many times 1,048,576 bytes.
    pub const fn mib(count: u64) -> ByteSize {
        ByteSize(count << 20)
    }

    /// In bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// In bytes; the largest `usize` where it would not fit one.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Option<ByteSize> {
        let (number, unit) = split_unit(text);
        let factor = match unit {
            "" | "B" => 1,
            unit => Self::UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(ByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = Self::UNITS.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match largest {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// An enum of settings' words: the names people write.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            fn names() -> String {
                format!("one of {}", [$($word),+].join(", "))
            }

            fn parse(text: &str) -> Option<$name> {
                match text {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $word),+
                })
            }
        }
    };
}

words! {
    /// How much is logged.
    LogLevel {
        /// Nothing.
        Off = "off",
        /// What failed and should not have.
        Error = "error",
        /// What somebody should look at: slow requests, stalled workers.
        Warn = "warn",
        /// What the server does on the whole: start, stop, its limits.
        Info = "info",
        /// Each connection and what becomes of it.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line, for programs.
        Json = "json",
    }
}

fn parse_addr(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a span of time: seconds, or a number with `ms`, `s`, `m` or `h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    // The exact way where there is one: a float would make 86399.999 of some numbers.
    if let (Ok(whole), false) = (number.parse::<u64>(), unit == "ms") {
        return whole.checked_mul(seconds as u64).map(Duration::from_secs);
    }
    if let (Ok(whole), true) = (number.parse::<u64>(), unit == "ms") {
        return Some(Duration::from_millis(whole));
    }
    // `f64` reads words such as "inf" as well; `split_unit` leaves none of them in the number.
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Writes a span of time in the largest unit that shows it whole.
pub fn show_duration(span: Duration) -> String {
    let (seconds, nanos) = (span.as_secs(), span.subsec_nanos());
    match (seconds, nanos) {
        (0, 0) => "0s".into(),
        (_, 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (_, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (_, 0) => format!("{seconds}s"),
        _ if nanos % 1_000_000 == 0 => format!("{}ms", span.as_millis()),
        _ => format!("{}s", span.as_secs_f64()),
    }
}

/// Splits "250ms" into "250" and "ms"; the number is digits and a point, no sign, no exponent.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_seconds_unless_a_unit_is_given() {
        let read = |text| parse_duration(text).unwrap();
        assert_eq!(read("2"), Duration::from_secs(2));
        assert_eq!(read("0.25"), Duration::from_millis(250));
        assert_eq!(read("250ms"), Duration::from_millis(250));
        assert_eq!(read("5s"), Duration::from_secs(5));
        assert_eq!(read("1.5 m"), Duration::from_secs(90));
        assert_eq!(read("1h"), Duration::from_secs(3600));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let too_long = format!("{}h", u64::MAX);
        for text in ["", "s", "-1", "+1", "1d", "1e3", "inf", "nan", "1..2", "5 s s", &too_long] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bytes_unless_a_unit_is_given() {
        assert_eq!(ByteSize::parse("65536"), Some(ByteSize::kib(64)));
        assert_eq!(ByteSize::parse("64KiB"), Some(ByteSize::kib(64)));
        assert_eq!(ByteSize::parse("16 mib"), Some(ByteSize::mib(16)));
        for text in ["", "KiB", "1.5KiB", "1KB", "-1", "99999999999999GiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn off_is_a_value_of_its_own() {
        assert_eq!(<Option<u64>>::parse("off"), Some(None));
        assert_eq!(<Option<u64>>::parse("7"), Some(Some(7)));
        assert_eq!(<Option<u64>>::parse("none"), None);
        assert_eq!(None::<u64>.measure(), None);
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back_the_same(millis in 0..=u64::from(u32::MAX)) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(span)), Some(span));
        }

        #[test]
        fn a_shown_size_reads_back_the_same(bytes: u64, shift in 0..40_u32) {
            let size = ByteSize::bytes(bytes >> shift << (shift % 31));
            prop_assert_eq!(ByteSize::parse(&size.to_string()), Some(size));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = (parse_duration(&text), ByteSize::parse(&text), parse_addr(&text), parse_bool(&text));
        }
    }
}
