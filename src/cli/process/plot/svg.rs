//! Writes SVG, one element after the other.

use std::fmt::Write;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

const STYLE: &str = "text{font-family:Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#1d2430}\
.title{font-size:17px;font-weight:bold}.heading{font-size:13px;font-weight:bold}.note{font-size:12px;fill:#4a5363}\
.label{font-size:11px;fill:#4a5363}.tick{stroke:#4a5363;stroke-width:1}.grid{stroke:#1d2430;stroke-opacity:.12}\
.zero{stroke:#1d2430;stroke-opacity:.4}.frame{fill:none;stroke:#4a5363}.curve{fill:none;stroke-width:1.4;\
stroke-linejoin:round}";

/// A drawing in the making.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// An empty drawing of so many pixels, on white.
    pub(super) fn new(width: f64, height: f64) -> Svg {
        let mut svg = Svg { text: String::new() };
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
        ));
        svg
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    /// A text that reads upwards, around its point.
    pub(super) fn turned_text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" \
             class=\"{class}\">{text}</text>"
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    pub(super) fn frame(&mut self, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"frame\"/>"
        ));
    }

    /// A filled shape.
    pub(super) fn area(&mut self, points: impl Iterator<Item = (f64, f64)>, colour: &str) {
        let path = path(points.map(Some));
        self.put(format_args!("<path d=\"{path}Z\" fill=\"{colour}\"/>"));
    }

    /// A curve; `None` interrupts it. `dashes` as in `stroke-dasharray`, or nothing.
    pub(super) fn curve(
        &mut self,
        points: impl Iterator<Item = Option<(f64, f64)>>,
        colour: &str,
        dashes: &str,
    ) {
        let path = path(points);
        self.put(format_args!(
            "<path d=\"{path}\" class=\"curve\" stroke=\"{colour}\" stroke-dasharray=\"{dashes}\"/>"
        ));
    }

    /// A PNG file as a picture, stretched to its place.
    pub(super) fn picture(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), png: &[u8]) {
        let data = base64(png);
        self.put(format_args!(
            "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             preserveAspectRatio=\"none\" href=\"data:image/png;base64,{data}\"/>"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.put(format_args!("</svg>"));
        self.text
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "{element}");
    }
}

fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut path, mut command) = (String::new(), 'M');
    for point in points {
        let Some((x, y)) = point else {
            command = 'M';
            continue;
        };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        command = 'L';
    }
    // A path must begin somewhere.
    if path.is_empty() {
        path.push_str("M0 0");
    }
    path
}

/// As XML's text and attributes have it; what XML can't have at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => result.push('\u{fffd}'),
            control if control.is_control() => result.push('\u{fffd}'),
            other => result.push(other),
        }
    }
    result
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| (bits << 8) | u32::from(*group.get(at).unwrap_or(&0)));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_text_can_not_break_out() {
        assert_eq!(escaped("a<b>&\"\u{1}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_curve_is_interrupted_where_there_is_nothing() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0))];
        assert_eq!(path(points.into_iter()), "M0.0 1.0L1.0 2.0M3.0 4.0");
        assert_eq!(path(std::iter::empty()), "M0 0");
    }
}
