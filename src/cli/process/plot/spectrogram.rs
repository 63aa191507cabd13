//! Spectrograms: how much of each frequency there is at each time.

use realfft::RealFftPlanner;

use super::colours::palette;
use super::png;
use super::scale::{hz, mel, multiples, Span};
use super::svg::{Anchor, Svg};
use super::{vertical_label, vertical_name, Panel, COLUMNS, LEFT, RIGHT};
use crate::audio_file::Recording;

/// A window lasts about so long: short enough for syllables, long enough for the partials of a voice.
const WINDOW_SECONDS: f64 = 0.032;
/// In a long recording a column is the mean of so many windows, evenly spread, and no more.
const MOST_WINDOWS: usize = 4;
/// What the colours span.
const RANGE_DB: f64 = 80.0;
/// What is louder is drawn as loud as this, 240 dB above full scale: its power must be a number.
const LOUDEST: f32 = 1e12;
/// Below anything that is drawn.
const SILENCE_DB: f32 = -200.0;
const LEGEND_WIDTH: f64 = 12.0;

/// Levels in dB, where a sine of full scale in all channels is 0, row by row from the highest frequency.
pub(super) struct Spectrogram {
    columns: usize,
    db: Vec<f32>,
}

impl Spectrogram {
    /// Of `columns` times and `rows` bands of equal width in mel, up to `highest_hz`.
    pub(super) fn of(recording: &Recording, columns: usize, rows: usize, highest_hz: f64) -> Spectrogram {
        let rate = f64::from(recording.format.sample_rate);
        let channels = usize::from(recording.format.channels);
        let frames = recording.frames();
        let length = ((rate * WINDOW_SECONDS) as usize).next_power_of_two();
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(length);
        // Hann. Half of its sum is the magnitude of a sine of amplitude 1.
        let turn = std::f64::consts::TAU / length as f64;
        let window: Vec<f32> = (0..length).map(|n| (0.5 - 0.5 * (turn * n as f64).cos()) as f32).collect();
        let full_scale = (window.iter().sum::<f32>() / 2.0).powi(2) * channels as f32;

        let bands = bands(rows, highest_hz, rate / length as f64, length / 2);
        let windows = (frames * 2).div_ceil(columns * length).clamp(1, MOST_WINDOWS);
        let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
        let mut scratch = fft.make_scratch_vec();
        let mut power = vec![0.0f32; length / 2 + 1];
        let mut db = vec![SILENCE_DB; columns * rows];
        for column in 0..columns {
            power.fill(0.0);
            for number in 0..windows {
                let part = (column * windows + number) as f64 + 0.5;
                let middle = (part / (columns * windows) as f64 * frames as f64) as isize;
                let first = middle - length as isize / 2;
                for channel in 0..channels {
                    for (n, (slot, weight)) in input.iter_mut().zip(&window).enumerate() {
                        let frame = usize::try_from(first + n as isize).ok().filter(|frame| *frame < frames);
                        let sample = frame.map_or(0.0, |frame| recording.samples[frame * channels + channel]);
                        *slot = sample.clamp(-LOUDEST, LOUDEST) * weight;
                    }
                    // Lengths are those that the plan asked for.
                    if fft.process_with_scratch(&mut input, &mut output, &mut scratch).is_ok() {
                        power.iter_mut().zip(&output).for_each(|(sum, bin)| *sum += bin.norm_sqr());
                    }
                }
            }
            for (row, band) in bands.iter().enumerate() {
                let Some(band) = band else { continue };
                let highest = band.power_in(&power) / (full_scale * windows as f32);
                db[row * columns + column] = (10.0 * highest.log10()).max(SILENCE_DB);
            }
        }
        Spectrogram { columns, db }
    }

    fn highest_db(&self) -> f64 {
        self.db.iter().fold(SILENCE_DB, |highest, db| highest.max(*db)).into()
    }
}

/// What one row of pixels stands for.
enum Band {
    /// The highest of these bins.
    Bins(usize, usize),
    /// Less than a bin: so much of the way from this one to the next.
    Between(usize, f32),
}

impl Band {
    fn power_in(&self, power: &[f32]) -> f32 {
        match *self {
            Band::Bins(first, last) => power[first..=last].iter().copied().fold(0.0, f32::max),
            Band::Between(bin, share) => power[bin] + share * (power[bin + 1] - power[bin]),
        }
    }
}

/// From the highest; `None` above half of the sample rate.
fn bands(rows: usize, highest_hz: f64, bin_hz: f64, last_bin: usize) -> Vec<Option<Band>> {
    let step = mel(highest_hz) / rows as f64;
    let band = |row: usize| {
        let place = |mel: f64| hz(mel) / bin_hz;
        let below = (rows - 1 - row) as f64;
        let (low, middle, high) =
            (place(below * step), place((below + 0.5) * step), place((below + 1.0) * step));
        if middle >= last_bin as f64 {
            return None;
        }
        let (first, last) = (low.ceil() as usize, (high.ceil() as usize).saturating_sub(1).min(last_bin));
        Some(match first <= last && high - low >= 1.0 {
            true => Band::Bins(first, last),
            false => Band::Between(middle as usize, middle.fract() as f32),
        })
    };
    (0..rows).map(band).collect()
}

/// The levels that the colours stand for, the same for both.
pub(super) fn range(spectra: &[Spectrogram; 2]) -> Span {
    let highest = spectra.iter().map(Spectrogram::highest_db).fold(-60.0, f64::max);
    let to = (highest / 10.0).ceil() * 10.0;
    Span { from: to - RANGE_DB, to }
}

/// Draws it, with its frequencies.
pub(super) fn draw(svg: &mut Svg, panel: Panel, spectrogram: &Spectrogram, range: Span, highest_hz: f64) {
    const MARKS_HZ: [f64; 10] =
        [0.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0, 32_000.0, 48_000.0];
    let pixels: Vec<u8> = spectrogram
        .db
        .iter()
        .map(|db| (range.share(f64::from(*db)) * 255.0).clamp(0.0, 255.0) as u8)
        .collect();
    let picture = png::encode(spectrogram.columns, &pixels, &palette());
    svg.picture((LEFT, panel.top), (COLUMNS as f64, panel.height), &picture);
    let whole = mel(highest_hz);
    for mark in MARKS_HZ.into_iter().filter(|mark| *mark <= highest_hz) {
        vertical_label(
            svg,
            panel.bottom() - mel(mark) / whole * panel.height,
            &format!("{}", mark / 1_000.0),
        );
    }
    vertical_name(svg, panel, "frequency (kHz)");
}

/// What the colours mean.
pub(super) fn legend(svg: &mut Svg, panel: Panel, range: Span) {
    let bar: Vec<u8> = (0..=255).rev().collect();
    let left = RIGHT + 16.0;
    svg.picture((left, panel.top), (LEGEND_WIDTH, panel.height), &png::encode(1, &bar, &palette()));
    svg.frame((left, panel.top), (LEGEND_WIDTH, panel.height));
    for value in multiples(20.0, range) {
        let y = panel.bottom() - range.share(value) * panel.height;
        svg.line((left + LEGEND_WIDTH, y), (left + LEGEND_WIDTH + 4.0, y), "tick");
        svg.text((left + LEGEND_WIDTH + 7.0, y + 3.5), Anchor::Start, "label", &format!("{value:.0}"));
    }
    svg.text((left, panel.top - 7.0), Anchor::Start, "label", "dBFS");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};

    #[test]
    fn a_tone_is_as_high_as_it_is_and_where_it_is() {
        let tone = |n: u32| (std::f64::consts::TAU * 3_000.0 * f64::from(n) / 16_000.0).sin() as f32;
        // On in the second half, in both channels.
        let samples = (0..16_000u32).flat_map(|n| [if n < 8_000 { 0.0 } else { tone(n) }; 2]).collect();
        let format = WavFormat { sample_rate: 16_000, channels: 2, sample_format: SampleFormat::F32 };
        let (columns, rows) = (100, 80);
        // Higher than this recording reaches, as when the other one has a higher rate.
        let spectrogram = Spectrogram::of(&Recording { format, samples }, columns, rows, 12_000.0);
        let at = |row: usize, column: usize| spectrogram.db[row * columns + column];
        let highest = (0..rows).max_by(|a, b| at(*a, 75).total_cmp(&at(*b, 75))).unwrap();
        assert!(at(highest, 75).abs() < 0.5, "{} dB", at(highest, 75));
        let row_hz = |row: usize| hz(mel(12_000.0) * (rows - row) as f64 / rows as f64);
        assert!(row_hz(highest + 1) <= 3_032.0 && row_hz(highest) >= 2_968.0);
        assert!(at(highest, 25) <= SILENCE_DB && at(0, 75) <= SILENCE_DB);
        assert!(at(rows - 1, 75) < -60.0);
    }

    #[test]
    fn a_sample_far_too_loud_for_its_power_to_be_a_number_has_a_level() {
        let mut samples = vec![0.0; 16_000];
        samples[8_000] = 1e30;
        let format = WavFormat { sample_rate: 16_000, channels: 1, sample_format: SampleFormat::F32 };
        let spectrogram = Spectrogram::of(&Recording { format, samples }, 100, 80, 8_000.0);
        assert!(spectrogram.db.iter().all(|db| db.is_finite()));
        let span = range(&[spectrogram, Spectrogram { columns: 1, db: vec![SILENCE_DB] }]);
        assert!((100.0..=250.0).contains(&span.to), "{}", span.to);
    }
}
