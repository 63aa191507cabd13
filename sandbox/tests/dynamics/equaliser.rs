//! The equaliser's responses, by prototypes that know no coefficients, and its changes.

use super::*;

/// |H| in dB by the cookbook's analogue prototypes, at the frequency that the bilinear transform makes of
/// `frequency_hz`: independent of any coefficient.
fn prototype_db(band: &Band, frequency_hz: f64, sample_rate_hz: f64) -> f64 {
    let tangent = |hz: f64| (PI * hz / sample_rate_hz).tan();
    let w = tangent(frequency_hz) / tangent(f64::from(band.frequency_hz).min(0.49 * sample_rate_hz));
    let (a, q) = (10f64.powf(f64::from(band.gain_db) / 40.0), f64::from(band.q));
    // |c2 s^2 + c1 s + c0| at s = jw
    let size = |c2: f64, c1: f64, c0: f64| (c0 - c2 * w * w).hypot(c1 * w);
    let gain = match band.kind {
        BandKind::Off => 1.0,
        BandKind::Peak => size(1.0, a / q, 1.0) / size(1.0, 1.0 / (a * q), 1.0),
        BandKind::LowShelf => a * size(1.0, a.sqrt() / q, a) / size(a, a.sqrt() / q, 1.0),
        BandKind::HighShelf => a * size(a, a.sqrt() / q, 1.0) / size(1.0, a.sqrt() / q, a),
        BandKind::LowPass => 1.0 / size(1.0, 1.0 / q, 1.0),
        BandKind::HighPass => w * w / size(1.0, 1.0 / q, 1.0),
    };
    db(gain)
}

/// Gains in dB at `frequencies_hz`, from the impulse response.
fn response_db(stream: Stream, parameters: &EqualiserParameters, frequencies_hz: &[f64]) -> Vec<f64> {
    let mut impulse = vec![0.0f32; 3 * stream.sample_rate_hz as usize];
    impulse[0] = 1.0;
    Equaliser::new(stream, parameters).process(&mut impulse);
    let at = |hz: &f64| {
        let w = TAU * hz / f64::from(stream.sample_rate_hz);
        let (re, im) = impulse.iter().enumerate().fold((0.0, 0.0), |(re, im), (index, sample)| {
            let (sin, cos) = (w * index as f64).sin_cos();
            (re + f64::from(*sample) * cos, im - f64::from(*sample) * sin)
        });
        db(f64::hypot(re, im))
    };
    frequencies_hz.iter().map(at).collect()
}

#[test]
fn every_band_has_the_cookbooks_response_within_a_tenth_of_a_db() {
    let mut worst = 0.0f64;
    for rate in [8_000, 48_000, 96_000] {
        let stream = mono(rate);
        for kind in BandKind::ALL {
            for (frequency_hz, gain_db, q) in [
                (20.0, 24.0, 10.0),
                (20.0, -24.0, 0.707),
                (300.0, 12.0, 0.1),
                (3_000.0, -24.0, 10.0),
                (20_000.0, 24.0, 0.707),
            ] {
                let band = Band { kind, frequency_hz, gain_db, q };
                let mut p = EqualiserParameters::default();
                p.bands[3] = band;
                let frequencies = [10.0, 19.0, 20.0, 21.0, 80.0, 300.0, 1_000.0, 2_900.0, 3_900.0];
                for (hz, measured) in frequencies.iter().zip(response_db(stream, &p, &frequencies)) {
                    let expected = prototype_db(&band, *hz, rate.into());
                    // Far below -100 dB single precision ends.
                    if expected > -100.0 {
                        worst = worst.max((measured - expected).abs());
                        assert!(
                            (measured - expected).abs() < 0.1,
                            "{band:?}, {hz} Hz at {rate}: {measured}, not {expected}"
                        );
                    }
                }
            }
        }
    }
    println!("worst error {worst} dB");
}

#[test]
fn bands_in_a_row_add_their_decibels_however_many_are_on() {
    let band = |kind, frequency_hz, gain_db, q| Band { kind, frequency_hz, gain_db, q };
    let all = [
        band(BandKind::HighPass, 60.0, 0.0, 0.707),
        band(BandKind::LowShelf, 200.0, 6.0, 0.707),
        band(BandKind::Peak, 1_000.0, -8.0, 2.0),
        band(BandKind::Peak, 3_500.0, 5.0, 1.0),
        band(BandKind::HighShelf, 8_000.0, -6.0, 0.707),
    ];
    let frequencies = [40.0, 150.0, 900.0, 3_000.0, 12_000.0];
    for on in 0..32u32 {
        let mut p = EqualiserParameters::default();
        let chosen = (0..5).filter(|index| on >> index & 1 == 1);
        chosen.clone().for_each(|index| p.bands[index] = all[index]);
        for (hz, measured) in frequencies.iter().zip(response_db(mono(48_000), &p, &frequencies)) {
            let expected: f64 = chosen.clone().map(|index| prototype_db(&all[index], *hz, 48_000.0)).sum();
            assert!((measured - expected).abs() < 0.01, "{on:05b} at {hz} Hz: {measured}, not {expected}");
        }
    }
}

#[test]
fn flat_bands_change_no_bit() {
    let mut random = Random(5);
    let noise: Vec<f32> = (0..5_000).map(|_| random.sample()).collect();
    let flat = |kind| Band { kind, frequency_hz: 500.0, gain_db: 0.0, q: 3.0 };
    let bands =
        [BandKind::Off, BandKind::Peak, BandKind::LowShelf, BandKind::HighShelf, BandKind::Off].map(flat);
    let mut out = noise.clone();
    Equaliser::new(mono(48_000), &EqualiserParameters { bands }).process(&mut out);
    assert_eq!(out, noise);
}

#[test]
fn a_change_of_the_equaliser_makes_no_step_larger_than_the_loudest_tone_does() {
    let band = |kind, frequency_hz, gain_db, q| Band { kind, frequency_hz, gain_db, q };
    let settings: [[Band; 2]; 6] = [
        [band(BandKind::Off, 100.0, 0.0, 1.0), band(BandKind::Off, 100.0, 0.0, 1.0)],
        [band(BandKind::Peak, 200.0, 24.0, 1.0), band(BandKind::Off, 100.0, 0.0, 1.0)],
        [band(BandKind::Peak, 5_000.0, -24.0, 1.0), band(BandKind::LowShelf, 300.0, 12.0, 0.7)],
        [band(BandKind::LowPass, 150.0, 0.0, 0.7), band(BandKind::HighShelf, 300.0, -12.0, 0.7)],
        [band(BandKind::HighPass, 40.0, 0.0, 5.0), band(BandKind::LowShelf, 60.0, -20.0, 0.7)],
        [band(BandKind::LowShelf, 20.0, 24.0, 0.2), band(BandKind::Peak, 10_000.0, 24.0, 10.0)],
    ];
    let parameters = settings.map(|bands| {
        let mut p = EqualiserParameters::default();
        p.bands[..2].copy_from_slice(&bands);
        p
    });
    let largest_step = |pcm: &[f32]| pcm.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    for rate in [8_000, 48_000] {
        let tone: Vec<f32> = (0..rate as usize)
            .map(|at| (0.05 * (TAU * 200.0 * at as f64 / f64::from(rate)).sin()) as f32)
            .collect();
        for from in &parameters {
            for to in &parameters {
                let steady = [from, to].map(|p| {
                    let mut out = tone.clone();
                    Equaliser::new(mono(rate), p).process(&mut out);
                    largest_step(&out[tone.len() / 2..])
                });
                let mut stage = Equaliser::new(mono(rate), from);
                let mut out = tone.clone();
                let (before, behind) = out.split_at_mut(tone.len() / 2 + 13);
                stage.process(before);
                stage.set(to);
                stage.process(behind);
                let bound = 1.25 * steady[0].max(steady[1]).max(largest_step(&tone));
                let step = largest_step(&out[tone.len() / 2..]);
                assert!(step <= bound, "{from:?} to {to:?} at {rate} Hz: {step}, bound {bound}");
                // and then it is what it would have been
                let mut anew = tone.clone();
                Equaliser::new(mono(rate), to).process(&mut anew);
                let last = tone.len() - 100;
                assert!(out[last..].iter().zip(&anew[last..]).all(|(one, other)| (one - other).abs() < 2e-3));
            }
        }
    }
}
