//! Waveforms: the range of samples that each column of pixels stands for.

use super::svg::Svg;
use super::{vertical_label, vertical_name, Panel, COLUMNS, LEFT, RIGHT};
use crate::audio_file::Recording;

/// Lowest and highest sample, of all channels, in each column; nothing where a recording has fewer frames than there
/// are columns and none falls into this one.
fn envelope(recording: &Recording) -> Vec<Option<(f32, f32)>> {
    let channels = usize::from(recording.format.channels);
    let frames = recording.frames();
    let frame_at = |column: usize| column * frames / COLUMNS;
    (0..COLUMNS)
        .map(|column| {
            let part = &recording.samples[frame_at(column) * channels..frame_at(column + 1) * channels];
            let ends = |ends: Option<(f32, f32)>, sample: &f32| {
                Some(ends.map_or((*sample, *sample), |(low, high)| (low.min(*sample), high.max(*sample))))
            };
            part.iter().fold(None, ends)
        })
        .collect()
}

/// The amplitude at the edge of the panels, the same for all.
pub(super) fn scale(recordings: &[&Recording]) -> f64 {
    const ROUND: [f64; 7] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let samples = recordings.iter().flat_map(|recording| &recording.samples);
    let peak = f64::from(samples.fold(0.0f32, |peak, sample| peak.max(sample.abs())));
    ROUND.into_iter().find(|edge| peak <= *edge).unwrap_or_else(|| peak.ceil())
}

/// Draws it, symmetrical around the middle.
pub(super) fn draw(svg: &mut Svg, panel: Panel, recording: &Recording, scale: f64, colour: &str) {
    let middle = panel.top + panel.height / 2.0;
    let y = |sample: f32| middle - f64::from(sample) / scale * panel.height / 2.0;
    let columns: Vec<(usize, (f32, f32))> =
        envelope(recording).into_iter().enumerate().filter_map(|(at, ends)| Some((at, ends?))).collect();
    // At least as high as a thin line.
    let there = columns.iter().map(|(at, (_, high))| (LEFT + *at as f64 + 0.5, y(*high) - 0.4));
    let back = columns.iter().rev().map(|(at, (low, _))| (LEFT + *at as f64 + 0.5, y(*low) + 0.4));
    svg.area(there.chain(back), colour);
    svg.line((LEFT, middle), (RIGHT, middle), "zero");
    for value in [scale, 0.0, -scale] {
        vertical_label(svg, middle - value / scale * panel.height / 2.0, &format!("{value}"));
    }
    vertical_name(svg, panel, "of full scale");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};

    fn recording(samples: Vec<f32>) -> Recording {
        let format = WavFormat { sample_rate: 8_000, channels: 2, sample_format: SampleFormat::F32 };
        Recording { format, samples }
    }

    #[test]
    fn a_column_holds_the_ends_of_its_samples() {
        let mut samples = vec![0.0; 2 * 10 * COLUMNS];
        (samples[2 * 10 + 1], samples[2 * 19]) = (0.5, -0.25);
        let envelope = envelope(&recording(samples));
        assert_eq!(envelope[..3], [Some((0.0, 0.0)), Some((-0.25, 0.5)), Some((0.0, 0.0))]);
    }

    #[test]
    fn the_scale_is_the_next_round_one() {
        assert_eq!(scale(&[&recording(vec![0.3, -0.4])]), 0.5);
        assert_eq!(scale(&[&recording(vec![0.0, -0.0])]), 0.01);
        assert_eq!(scale(&[&recording(vec![0.0, -2.5])]), 3.0);
    }
}
