//! What each stage took away, and what became of the level in all.

use super::scale::{multiples, Span};
use super::svg::{Anchor, Svg};
use super::{vertical_label, vertical_name, Panel, COLUMNS, LEFT, RIGHT};
use crate::audio_file::Recording;
use crate::cli::process::enhance::{Enhanced, READINGS_PER_SECOND};

/// Levels are compared over so long at least.
const LEVEL_SECONDS: f64 = 0.1;
/// Where it is quieter than this, before or after, no change is drawn.
const QUIET_DB: f64 = -70.0;
/// No further than this away from 0.
const MOST_DB: f64 = 48.0;
const LEVEL_COLOUR: &str = "#8a93a1";

fn colour(stage: &str) -> &'static str {
    match stage {
        "noise_gate" => "#15877a",
        "compressor" => "#c9304f",
        _ => "#b87503",
    }
}

/// A curve: one value in dB for each column of pixels.
struct Curve {
    name: String,
    colour: &'static str,
    dashes: &'static str,
    db: Vec<Option<f64>>,
}

/// Draws all curves, and says which is which.
pub(super) fn draw(svg: &mut Svg, panel: Panel, before: &Recording, enhanced: &Enhanced) {
    let mut curves = vec![Curve {
        name: "level after, relative to before".to_owned(),
        colour: LEVEL_COLOUR,
        dashes: "3 2",
        db: level_change(before, &enhanced.recording),
    }];
    for reduction in &enhanced.reductions {
        let seconds = before.duration().as_secs_f64();
        curves.push(Curve {
            name: reduction.stage.to_owned(),
            colour: colour(reduction.stage),
            dashes: "",
            db: most_in_column(&reduction.db, seconds),
        });
    }
    let (range, step) = range(&curves);
    let y = |db: f64| panel.top + (1.0 - range.share(db).clamp(0.0, 1.0)) * panel.height;
    for value in multiples(step, range) {
        let class = if value == 0.0 { "zero" } else { "grid" };
        svg.line((LEFT, y(value)), (RIGHT, y(value)), class);
        vertical_label(svg, y(value), &format!("{value:.0}"));
    }
    for curve in &curves {
        let point = |(column, db): (usize, &Option<f64>)| db.map(|db| (LEFT + column as f64 + 0.5, y(db)));
        svg.curve(curve.db.iter().enumerate().map(point), curve.colour, curve.dashes);
    }
    vertical_name(svg, panel, "gain (dB)");
    legend(svg, panel, &curves);
}

/// Above the panel's upper right corner.
fn legend(svg: &mut Svg, panel: Panel, curves: &[Curve]) {
    /// About what a character of a label takes.
    const CHARACTER: f64 = 6.2;
    let y = panel.top - 11.0;
    let mut right = RIGHT;
    for curve in curves {
        let left = right - CHARACTER * curve.name.len() as f64 - 28.0;
        svg.curve([Some((left, y)), Some((left + 22.0, y))].into_iter(), curve.colour, curve.dashes);
        svg.text((left + 27.0, y + 4.0), Anchor::Start, "label", &curve.name);
        right = left - 12.0;
    }
}

/// The strongest of the reductions that fall into each column, downwards; held where a column is shorter than the time
/// between two of them.
fn most_in_column(db: &[f32], seconds: f64) -> Vec<Option<f64>> {
    let per_column = seconds * READINGS_PER_SECOND as f64 / COLUMNS as f64;
    let column = |column: usize| {
        let first = (column as f64 * per_column) as usize;
        let last = (((column + 1) as f64 * per_column) as usize).max(first + 1);
        let part = db.get(first..last.min(db.len()))?;
        part.iter().copied().reduce(f32::max).map(|most| 0.0 - f64::from(most))
    };
    (0..COLUMNS).map(column).collect()
}

/// RMS after against RMS before.
fn level_change(before: &Recording, after: &Recording) -> Vec<Option<f64>> {
    let seconds = before.duration().as_secs_f64();
    let windows = ((seconds / LEVEL_SECONDS) as usize).clamp(1, COLUMNS);
    let level = |recording: &Recording, window: usize| {
        let channels = usize::from(recording.format.channels);
        let at = |window: usize| window * recording.frames() / windows * channels;
        let part = &recording.samples[at(window)..at(window + 1)];
        let energy: f64 = part.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        10.0 * (energy / part.len().max(1) as f64).log10()
    };
    let changes: Vec<Option<f64>> = (0..windows)
        .map(|window| {
            let (before, after) = (level(before, window), level(after, window));
            (before > QUIET_DB && after > QUIET_DB).then_some(after - before)
        })
        .collect();
    (0..COLUMNS).map(|column| changes[column * windows / COLUMNS]).collect()
}

/// Round ends that hold all curves, and a round step between them.
fn range(curves: &[Curve]) -> (Span, f64) {
    let values = || curves.iter().flat_map(|curve| curve.db.iter().flatten().copied());
    let (low, high) =
        (values().fold(-5.9, f64::min).max(-MOST_DB), values().fold(0.0, f64::max).min(MOST_DB));
    let step = if high - low <= 20.0 {
        3.0
    } else if high - low <= 42.0 {
        6.0
    } else {
        12.0
    };
    (Span { from: (low / step).floor() * step, to: (high / step).ceil() * step }, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};

    #[test]
    fn a_column_shows_the_strongest_reduction_in_it() {
        // 84 s: ten readings a column.
        let mut db = vec![0.0; 8_400];
        (db[15], db[8_399]) = (6.0, 3.0);
        let columns = most_in_column(&db, 84.0);
        assert_eq!(columns[..3], [Some(0.0), Some(-6.0), Some(0.0)]);
        assert_eq!(columns[COLUMNS - 1], Some(-3.0));
        // 1 s: each reading for more than eight columns.
        let columns = most_in_column(&[1.0, 2.0], 0.02);
        assert_eq!((columns[0], columns[COLUMNS - 1]), (Some(-1.0), Some(-2.0)));
    }

    #[test]
    fn a_change_of_level_is_seen_across_rates_and_channels_and_none_in_silence() {
        let recording = |sample_rate: u32, channels: u16, level: f32| {
            let format = WavFormat { sample_rate, channels, sample_format: SampleFormat::F32 };
            let half = sample_rate as usize * usize::from(channels) / 2;
            Recording { format, samples: [vec![0.0; half], vec![level; half]].concat() }
        };
        let changes = level_change(&recording(16_000, 1, 0.1), &recording(44_100, 2, 0.2));
        assert_eq!(changes[COLUMNS / 4], None);
        assert!((changes[3 * COLUMNS / 4].unwrap() - 6.02).abs() < 0.01);
    }

    #[test]
    fn the_axis_holds_all_and_is_never_flat() {
        let curve = |db: Vec<Option<f64>>| Curve { name: String::new(), colour: "", dashes: "", db };
        assert_eq!(range(&[]), (Span { from: -6.0, to: 0.0 }, 3.0));
        assert_eq!(range(&[curve(vec![Some(-13.0), Some(4.0)])]), (Span { from: -15.0, to: 6.0 }, 3.0));
        assert_eq!(range(&[curve(vec![Some(-90.0)])]), (Span { from: -48.0, to: 0.0 }, 12.0));
    }
}
