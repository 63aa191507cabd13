//! The limiter's ceiling, by a meter of its own, its delay and its times.

use super::*;

/// An oversampling meter of its own: 16 points a sample by a sinc of 128 taps under a Blackman window, in double
/// precision; nothing is left out at the ends of the signal.
fn true_peak(signal: &[f32]) -> f64 {
    const REACH: i64 = 64;
    let tap = |away: f64| {
        if away == 0.0 {
            return 1.0;
        }
        let window = 0.42 + 0.5 * (PI * away / REACH as f64).cos() + 0.08 * (TAU * away / REACH as f64).cos();
        (PI * away).sin() / (PI * away) * window
    };
    let phases: Vec<Vec<f64>> = (0..16)
        .map(|phase| (-REACH + 1..=REACH).map(|k| tap(k as f64 - f64::from(phase) / 16.0)).collect())
        .collect();
    let mut padded = vec![0.0f64; 2 * REACH as usize];
    padded.extend(signal.iter().map(|sample| f64::from(*sample)));
    padded.extend(std::iter::repeat_n(0.0, 2 * REACH as usize));
    let mut top = 0.0f64;
    for around in padded.windows(2 * REACH as usize) {
        for taps in &phases {
            top = top.max(around.iter().zip(taps).map(|(sample, tap)| sample * tap).sum::<f64>().abs());
        }
    }
    top
}

/// Noise without what lies above `share` of the sample rate: a windowed sinc of 255 taps.
fn band_limited_noise(length: usize, share: f64, level: f32) -> Vec<f32> {
    let mut random = Random(77);
    let noise: Vec<f64> = (0..length + 255).map(|_| f64::from(random.sample())).collect();
    let taps: Vec<f64> = (-127i64..=127)
        .map(|k| {
            let window = 0.42 + 0.5 * (PI * k as f64 / 128.0).cos() + 0.08 * (TAU * k as f64 / 128.0).cos();
            let x = TAU * share * k as f64;
            2.0 * share * window * if k == 0 { 1.0 } else { x.sin() / x }
        })
        .collect();
    let sample =
        |at: usize| noise[at..at + 255].iter().zip(&taps).map(|(sample, tap)| sample * tap).sum::<f64>();
    (0..length).map(|at| sample(at) as f32 * level).collect()
}

/// What a limiter must stand, at most 24 dB above full scale, and by how many dB a true peak may lie above the ceiling.
///
/// It is 0.05 dB for what lies below 0.45 of the sample rate, edges and all, as long as they are not made of the very
/// highest frequencies. What lies between 0.46 and 0.5 of it is in no meter's pass band: what there is between such
/// samples depends on the filter of whoever asks, and two meters differ by that much.
fn hard_signals(rate: u32) -> Vec<(&'static str, f64, Vec<f32>)> {
    let length = 6_000;
    let mut random = Random(3);
    let tone = |share: f64, phase: f64, level: f64| -> Vec<f32> {
        (0..length).map(|at| (level * (TAU * share * at as f64 + phase).sin()) as f32).collect()
    };
    let faded = |tone: Vec<f32>| -> Vec<f32> {
        let share = |at: usize| (at.min(length - at) as f64 / 300.0).min(1.0);
        tone.iter()
            .enumerate()
            .map(|(at, sample)| sample * (0.5 - 0.5 * (PI * share(at)).cos()) as f32)
            .collect()
    };
    let bursts: Vec<f32> = tone(0.02, 0.0, 4.0)
        .iter()
        .zip(tone(0.2, 0.3, 8.0))
        .enumerate()
        .map(|(at, (low, high))| if at / 700 % 2 == 0 { 0.05 * low } else { low + high })
        .collect();
    let mut signals = vec![
        ("a quarter of the rate, 45 degrees", 0.05, tone(0.25, PI / 4.0, 1.0)),
        ("a quarter of the rate, 45 degrees, +24 dB", 0.05, tone(0.25, PI / 4.0, 16.0)),
        ("a third of the rate", 0.05, tone(1.0 / 3.0, 0.3, 4.0)),
        ("0.45 of the rate", 0.05, faded(tone(0.45, 0.1, 2.0))),
        ("0.45 of the rate, at once", 0.25, tone(0.45, 0.1, 2.0)),
        ("a low tone", 0.05, tone(100.0 / f64::from(rate), 0.0, 3.0)),
        ("bursts", 0.05, bursts),
        ("an impulse", 0.05, (0..length).map(|at| if at == 3_000 { 16.0 } else { 0.0 }).collect()),
        ("noise below 0.42 of the rate", 0.05, band_limited_noise(length, 0.40, 2.0)),
        ("noise below 0.42 of the rate, +24 dB", 0.05, band_limited_noise(length, 0.40, 30.0)),
    ];
    signals.push(("white noise", 0.7, (0..length).map(|_| random.sample()).collect()));
    signals.push(("white noise, +24 dB", 0.7, (0..length).map(|_| 16.0 * random.sample()).collect()));
    signals.push((
        "a square",
        0.5,
        (0..length).map(|at| if at / 37 % 2 == 0 { 1.0 } else { -1.0 }).collect(),
    ));
    signals.push((
        "a square, +24 dB",
        0.5,
        (0..length).map(|at| if at / 50 % 2 == 0 { 16.0 } else { -16.0 }).collect(),
    ));
    signals
}

#[test]
fn the_limiter_lets_no_sample_and_no_true_peak_above_its_ceiling() {
    for (rate, look_ahead_ms, release_ms, ceiling_db) in [
        (8_000, 1.5, 20.0, -1.0),
        (16_000, 3.0, 10.0, -6.0),
        (48_000, 1.5, 80.0, -1.0),
        (48_000, 5.0, 10.0, 0.0),
        (96_000, 1.5, 200.0, -20.0),
    ] {
        let p = LimiterParameters { ceiling_db, look_ahead_ms, release_ms };
        for (what, tolerance_db, signal) in hard_signals(rate) {
            // Behind its end as well nothing may be too high: it goes on with silence.
            let mut out = [signal, vec![0.0; 1_000]].concat();
            Limiter::new(mono(rate), &p).process(&mut out);
            let ceiling = amplitude(ceiling_db.into());
            assert!(f64::from(peak(&out)) <= ceiling, "{what}: a sample of {}", peak(&out));
            let over_db = db(true_peak(&out)) - f64::from(ceiling_db);
            println!("{rate} Hz, {look_ahead_ms} ms, {what}: {over_db:.3} dB");
            assert!(over_db <= tolerance_db, "{what} at {rate} Hz, {p:?}: {over_db} dB above");
        }
    }
}

#[test]
fn what_lies_below_the_ceiling_passes_bit_for_bit_late_by_the_delay_it_tells() {
    for rate in RATES {
        for channels in [1, 2] {
            for look_ahead_ms in [1.5, 5.0] {
                let stream = Stream { sample_rate_hz: rate, channels };
                let p = LimiterParameters { look_ahead_ms, ..LimiterParameters::default() };
                let mut random = Random(9);
                let signal: Vec<f32> = (0..4_000).map(|_| 0.25 * random.sample()).collect();
                let mut limiter = Limiter::new(stream, &p);
                let mut out = signal.clone();
                limiter.process(&mut out);
                let delay = limiter.delay_samples() * channels;
                assert!(out[..delay].iter().all(|sample| *sample == 0.0));
                assert_eq!(out[delay..], signal[..signal.len() - delay], "{stream:?}");
                let delay_ms = limiter.delay_samples() as f32 * 1_000.0 / rate as f32;
                assert!((look_ahead_ms..look_ahead_ms + 33_000.0 / rate as f32 + 0.7).contains(&delay_ms));
            }
        }
    }
}

#[test]
fn the_limiter_takes_its_time_to_release_within_5_percent_at_every_rate() {
    let mut worst = 0.0f64;
    for rate in RATES {
        for (look_ahead_ms, release_ms) in [(1.5, 10.0), (1.5, 80.0), (5.0, 30.0), (3.0, 1_000.0)] {
            let stream = mono(rate);
            let p = LimiterParameters { ceiling_db: -6.0, look_ahead_ms, release_ms };
            let delay = Limiter::new(stream, &p).delay_samples();
            for offset in [0, 7, 19] {
                let at = samples(stream, 30.0) + offset;
                let behind = samples(stream, 10.0 * f64::from(release_ms)) + delay;
                let level = |index: usize| if index < at { 4.0 } else { 0.1f32 };
                let mut out: Vec<f32> = (0..at + behind).map(level).collect();
                Limiter::new(stream, &p).process(&mut out);
                let gains: Vec<f64> = out[delay..]
                    .iter()
                    .enumerate()
                    .map(|(index, out)| db(f64::from(out / level(index))))
                    .collect();
                let measured = samples_to_63_percent(&gains, at);
                worst = worst.max(assert_takes("release", stream, release_ms.into(), measured));
            }
        }
    }
    println!("worst error {worst}");
}

#[test]
fn the_limiters_gain_falls_smoothly_within_the_look_ahead() {
    let stream = mono(48_000);
    let p = LimiterParameters { ceiling_db: 0.0, look_ahead_ms: 5.0, release_ms: 100.0 };
    let mut out: Vec<f32> = (0..9_600).map(|at| if at < 4_800 { 0.5 } else { 4.0 }).collect();
    let signal = out.clone();
    let mut limiter = Limiter::new(stream, &p);
    let delay = limiter.delay_samples();
    limiter.process(&mut out);
    let gains: Vec<f64> =
        out[delay..].iter().zip(&signal).map(|(out, input)| db(f64::from(out / input))).collect();
    // 12 dB and a little for the overshoot of the edge, over 5 ms: never steeper than twice the straight way.
    let steepest = gains.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
    assert!(steepest < 2.5 * 14.0 / 240.0, "{steepest} dB from one sample to the next");
    assert!(gains[4_800 - 300..].iter().all(|gain| *gain <= 0.0) && gains[4_800 - 300] > -0.01);
    assert!(gains[4_900] < -12.0);
}
