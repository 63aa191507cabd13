//! A drawing of what became of a recording, as one SVG file without anything outside of it.
//!
//! ```text
//!   waveform before        min and max of what each column of pixels stands for
//!   waveform after
//!   spectrogram before     dB in colours; frequencies on a mel scale
//!   spectrogram after
//!   gain                   reduction of each stage, and the change of level
//! ```
//!
//! All five share the time axis. What is drawn is bounded by the number of columns, not by the recording's length.

mod colours;
mod gain;
mod png;
mod scale;
mod spectrogram;
mod svg;
mod waveform;

use std::path::Path;

use super::enhance::Enhanced;
use crate::audio_file::Recording;
use scale::Span;
use spectrogram::Spectrogram;
use svg::{Anchor, Svg};

/// Columns of pixels that time is divided into.
const COLUMNS: usize = 840;
const WIDTH: f64 = 1_020.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = LEFT + COLUMNS as f64;
const WAVEFORM_HEIGHT: f64 = 96.0;
const SPECTROGRAM_ROWS: usize = 180;
const GAIN_HEIGHT: f64 = 170.0;
/// Between two panels, with room for the title of the lower one.
const GAP: f64 = 34.0;

const BEFORE: &str = "#6b7686";
const AFTER: &str = "#1c6dd0";

/// What the drawing is called by.
pub(super) struct Title<'a> {
    pub(super) from: &'a Path,
    pub(super) to: &'a Path,
}

/// A place for one panel.
#[derive(Debug, Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
}

impl Panel {
    fn bottom(self) -> f64 {
        self.top + self.height
    }
}

/// Draws it.
pub(super) fn draw(title: &Title<'_>, before: &Recording, enhanced: &Enhanced) -> String {
    let after = &enhanced.recording;
    let seconds = before.duration().as_secs_f64();
    let waveform_before = Panel { top: 84.0, height: WAVEFORM_HEIGHT };
    let below = |panel: Panel, height: f64| Panel { top: panel.bottom() + GAP, height };
    let waveform_after = below(waveform_before, WAVEFORM_HEIGHT);
    let spectrogram_before = below(waveform_after, SPECTROGRAM_ROWS as f64);
    let spectrogram_after = below(spectrogram_before, SPECTROGRAM_ROWS as f64);
    let gain = below(spectrogram_after, GAIN_HEIGHT);

    let mut svg = Svg::new(WIDTH, gain.bottom() + 64.0);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    svg.text(
        (LEFT, 28.0),
        Anchor::Start,
        "title",
        &format!("{} \u{2192} {}", name(title.from), name(title.to)),
    );
    let stages: Vec<&str> =
        enhanced.stage_times.iter().map(|(name, _)| name).filter(|name| *name != "sanitise").collect();
    let stages = if stages.is_empty() { "no stage runs".to_owned() } else { stages.join(" \u{2192} ") };
    svg.text(
        (LEFT, 47.0),
        Anchor::Start,
        "note",
        &format!("{} \u{2192} {}; {stages}", before.format, after.format),
    );

    let time = Span { from: 0.0, to: seconds.max(1e-3) };
    let scale = waveform::scale(&[before, after]);
    for (panel, recording, what, colour) in
        [(waveform_before, before, "before", BEFORE), (waveform_after, after, "after", AFTER)]
    {
        heading(&mut svg, panel, &format!("Waveform, {what}"));
        waveform::draw(&mut svg, panel, recording, scale, colour);
        time_grid(&mut svg, panel, time, true);
    }

    let highest_hz = f64::from(before.format.sample_rate.max(after.format.sample_rate)) / 2.0;
    let spectra =
        [before, after].map(|recording| Spectrogram::of(recording, COLUMNS, SPECTROGRAM_ROWS, highest_hz));
    let range = spectrogram::range(&spectra);
    for (panel, spectrum, what) in
        [(spectrogram_before, &spectra[0], "before"), (spectrogram_after, &spectra[1], "after")]
    {
        heading(&mut svg, panel, &format!("Spectrogram, {what}"));
        spectrogram::draw(&mut svg, panel, spectrum, range, highest_hz);
        time_grid(&mut svg, panel, time, false);
        spectrogram::legend(&mut svg, panel, range);
    }

    heading(&mut svg, gain, "Gain reduction and level");
    gain::draw(&mut svg, gain, before, enhanced);
    time_grid(&mut svg, gain, time, true);
    time_labels(&mut svg, gain, time);
    svg.finish()
}

/// The title of a panel, on its left.
fn heading(svg: &mut Svg, panel: Panel, text: &str) {
    svg.text((LEFT, panel.top - 7.0), Anchor::Start, "heading", text);
}

/// The name of what is on a panel's vertical axis.
fn vertical_name(svg: &mut Svg, panel: Panel, text: &str) {
    svg.turned_text((17.0, panel.top + panel.height / 2.0), "note", text);
}

/// One value on a panel's vertical axis.
fn vertical_label(svg: &mut Svg, y: f64, text: &str) {
    svg.line((LEFT - 4.0, y), (LEFT, y), "tick");
    svg.text((LEFT - 7.0, y + 3.5), Anchor::End, "label", text);
}

/// The frame of a panel, and where it is crossed by round times.
fn time_grid(svg: &mut Svg, panel: Panel, time: Span, lines: bool) {
    let step = scale::time_step(time.to);
    for at in scale::multiples(step, time) {
        let x = LEFT + time.share(at) * COLUMNS as f64;
        if lines {
            svg.line((x, panel.top), (x, panel.bottom()), "grid");
        }
        svg.line((x, panel.bottom()), (x, panel.bottom() + 4.0), "tick");
    }
    svg.frame((LEFT, panel.top), (COLUMNS as f64, panel.height));
}

fn time_labels(svg: &mut Svg, panel: Panel, time: Span) {
    let step = scale::time_step(time.to);
    for at in scale::multiples(step, time) {
        let x = LEFT + time.share(at) * COLUMNS as f64;
        svg.text((x, panel.bottom() + 17.0), Anchor::Middle, "label", &scale::time_label(at, step));
    }
    let unit = if step >= 60.0 { "time (min:s)" } else { "time (s)" };
    svg.text((LEFT + COLUMNS as f64 / 2.0, panel.bottom() + 36.0), Anchor::Middle, "note", unit);
}
