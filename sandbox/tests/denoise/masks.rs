//! What any de-noiser of this kind could do at most: masks made by somebody who knows speech and noise apart.

use realfft::num_complex::Complex32;
use realfft::RealFftPlanner;

use super::{scale_invariant_snr_db, Heard, Noise};

/// Edges of the network's bands, in units of 200 Hz (Valin 2018, section 2; the Opus band layout).
const BAND_EDGES: [usize; 22] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 34, 40, 48, 60, 78, 100];

/// How fine a mask is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mask {
    /// A gain for each of the network's bands, in straight lines between their middles.
    Bands,
    /// A gain for each bin of 50 Hz.
    Bins,
}

/// Spectra of windows of 20 ms, every 10 ms, under the Vorbis window (whose square sums to 1).
struct Spectra {
    window: Vec<f32>,
    planner: RealFftPlanner<f32>,
}

impl Spectra {
    fn new(rate: u32) -> Self {
        let length = rate as usize / 50;
        let vorbis = |at: usize| {
            let sine = (std::f64::consts::PI * (at as f64 + 0.5) / length as f64).sin();
            (std::f64::consts::FRAC_PI_2 * sine * sine).sin() as f32
        };
        Self { window: (0..length).map(vorbis).collect(), planner: RealFftPlanner::new() }
    }

    fn of(&mut self, signal: &[f32]) -> Vec<Vec<Complex32>> {
        let length = self.window.len();
        let plan = self.planner.plan_fft_forward(length);
        let starts = (0..signal.len() - length).step_by(length / 2);
        starts
            .map(|start| {
                let mut windowed: Vec<f32> =
                    signal[start..][..length].iter().zip(&self.window).map(|(x, w)| x * w).collect();
                let mut spectrum = plan.make_output_vec();
                plan.process(&mut windowed, &mut spectrum).unwrap();
                spectrum
            })
            .collect()
    }

    fn back(&mut self, spectra: &[Vec<Complex32>], samples: usize) -> Vec<f32> {
        let length = self.window.len();
        let plan = self.planner.plan_fft_inverse(length);
        let mut signal = vec![0.0; samples];
        for (index, spectrum) in spectra.iter().enumerate() {
            let mut windowed = plan.make_output_vec();
            plan.process(&mut spectrum.clone(), &mut windowed).unwrap();
            let place = signal[index * length / 2..].iter_mut();
            for ((sum, x), w) in place.zip(&windowed).zip(&self.window) {
                *sum += x * w / length as f32;
            }
        }
        signal
    }
}

/// Each bin's share of each band.
fn shares(bins: usize) -> Vec<Vec<f32>> {
    let mut shares = vec![vec![0.0; bins]; BAND_EDGES.len()];
    for (band, edges) in BAND_EDGES.windows(2).enumerate() {
        // Bins are 50 Hz wide: windows have 20 ms.
        let (from, to) = (4 * edges[0], 4 * edges[1]);
        (from..to.min(bins)).for_each(|bin| {
            let share = (bin - from) as f32 / (to - from) as f32;
            shares[band][bin] = 1.0 - share;
            shares[band + 1][bin] = share;
        });
    }
    shares
}

/// By how much the SNR rises, while there is speech, if each part of the spectrum is weighted by speech / (speech +
/// noise), of their true powers: Wiener's gain.
fn raised_by_the_ideal(heard: &Heard, mask: Mask) -> f64 {
    let mut spectra = Spectra::new(heard.rate);
    let noise: Vec<f32> =
        heard.noisy.iter().zip(&heard.speech).map(|(noisy, speech)| noisy - speech).collect();
    let (speech, noise) = (spectra.of(&heard.speech), spectra.of(&noise));
    let shares = shares(speech[0].len());
    let weigh = |(speech, noise): (&Vec<Complex32>, &Vec<Complex32>)| -> Vec<Complex32> {
        let gain = |speech: f32, noise: f32| speech / (speech + noise + 1e-20);
        let gains: Vec<f32> = match mask {
            Mask::Bins => speech.iter().zip(noise).map(|(s, n)| gain(s.norm_sqr(), n.norm_sqr())).collect(),
            Mask::Bands => {
                let power = |spectrum: &[Complex32], share: &[f32]| -> f32 {
                    spectrum.iter().zip(share).map(|(bin, share)| bin.norm_sqr() * share).sum()
                };
                let bands: Vec<f32> =
                    shares.iter().map(|share| gain(power(speech, share), power(noise, share))).collect();
                let at = |bin: usize| bands.iter().zip(&shares).map(|(gain, share)| gain * share[bin]).sum();
                (0..speech.len()).map(at).collect()
            }
        };
        let noisy = speech.iter().zip(noise).map(|(speech, noise)| speech + noise);
        noisy.zip(gains).map(|(bin, gain)| bin * gain).collect()
    };
    let weighted: Vec<Vec<Complex32>> = speech.iter().zip(&noise).map(weigh).collect();
    let cleaned = spectra.back(&weighted, heard.speech.len());
    let snr_db = |signal: &[f32]| scale_invariant_snr_db(heard.spoken(&heard.speech), heard.spoken(signal));
    snr_db(&cleaned) - snr_db(&heard.noisy)
}

/// So 8 dB are out of reach there, for this network and for every other that weighs the same bands; and it does 40 to
/// 70 % of what could be done, in dB.
#[test]
fn where_noise_lies_in_the_speech_an_ideal_mask_of_the_same_bands_stays_below_8_db() {
    for (rate, noise) in [
        (48_000, Noise::Pink),
        (48_000, Noise::Babble),
        (16_000, Noise::Pink),
        (16_000, Noise::Babble),
        (8_000, Noise::White),
        (8_000, Noise::Pink),
        (8_000, Noise::Babble),
    ] {
        let heard = Heard::new(rate, noise, 5.0);
        let (bands, bins) =
            (raised_by_the_ideal(&heard, Mask::Bands), raised_by_the_ideal(&heard, Mask::Bins));
        let network = heard.waveform_snr_db(&heard.cleaned) - heard.waveform_snr_db(&heard.noisy);
        println!("{rate} Hz, {noise:?}: ideal bands +{bands:.1} dB, ideal bins +{bins:.1} dB, network +{network:.1} dB");
        assert!(bands < 8.0 && bins < 9.5, "{rate} Hz, {noise:?}: {bands} dB, {bins} dB");
        assert!(network < bands + 0.5, "{rate} Hz, {noise:?}: {network} dB, more than {bands} dB");
    }
    for (rate, at_least) in [(16_000, 8.0), (48_000, 10.0)] {
        let heard = Heard::new(rate, Noise::White, 5.0);
        let (bands, bins) =
            (raised_by_the_ideal(&heard, Mask::Bands), raised_by_the_ideal(&heard, Mask::Bins));
        println!("{rate} Hz, white: ideal bands +{bands:.1} dB, ideal bins +{bins:.1} dB");
        assert!(
            bands > at_least,
            "{rate} Hz: where noise lies beside the speech there is room, found {bands} dB"
        );
    }
}
