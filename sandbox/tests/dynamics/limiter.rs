//! The limiter's ceiling, by a meter of its own, its delay and its times.

use super::*;

/// An oversampling meter of its own: `phases` points a sample by a sinc of twice `reach` taps under a Blackman window, in
/// double precision; nothing is left out at the ends of the signal.
fn true_peak(signal: &[f32], phases: usize, reach: usize) -> f64 {
    let tap = |away: f64| {
        let edge = PI * away / reach as f64;
        let window = 0.42 + 0.5 * edge.cos() + 0.08 * (2.0 * edge).cos();
        if away == 0.0 {
            1.0
        } else {
            (PI * away).sin() / (PI * away) * window
        }
    };
    let taps = |phase: usize| -> Vec<f64> {
        let behind = phase as f64 / phases as f64;
        (0..2 * reach).map(|k| tap(k as f64 + 1.0 - reach as f64 - behind)).collect()
    };
    highest_through(&(0..phases).map(taps).collect::<Vec<_>>(), signal)
}

/// What the recommendation itself measures: 4 points a sample by the filter that it gives (ITU-R BS.1770-4, annex 2, of
/// which the second half mirrors the first).
fn recommended_true_peak(signal: &[f32]) -> f64 {
    const PHASES: [[f64; 12]; 2] = [
        [
            0.001_708_984_375_0,
            0.010_986_328_125_0,
            -0.019_653_320_312_5,
            0.033_203_125_000_0,
            -0.059_448_242_187_5,
            0.137_329_101_562_5,
            0.972_167_968_750_0,
            -0.102_294_921_875_0,
            0.047_607_421_875_0,
            -0.026_611_328_125_0,
            0.014_892_578_125_0,
            -0.008_300_781_250_0,
        ],
        [
            -0.029_174_804_687_5,
            0.029_296_875_000_0,
            -0.051_757_812_500_0,
            0.089_111_328_125_0,
            -0.166_503_906_250_0,
            0.465_087_890_625_0,
            0.779_785_156_250_0,
            -0.200_317_382_812_5,
            0.101_562_500_000_0,
            -0.058_227_539_062_5,
            0.033_081_054_687_5,
            -0.018_920_898_437_5,
        ],
    ];
    let mirrored = PHASES.map(|taps| taps.iter().rev().copied().collect());
    let phases: Vec<Vec<f64>> = PHASES.map(|taps| taps.to_vec()).into_iter().chain(mirrored).collect();
    highest_through(&phases, signal)
}

fn highest_through(phases: &[Vec<f64>], signal: &[f32]) -> f64 {
    let silence = || std::iter::repeat_n(0.0, phases[0].len());
    let padded: Vec<f64> =
        silence().chain(signal.iter().map(|sample| f64::from(*sample))).chain(silence()).collect();
    let windows = padded.windows(phases[0].len());
    let at = |around: &[f64], taps: &Vec<f64>| -> f64 {
        // In lanes, for this is most of what the test does.
        let mut lanes = [0.0f64; 4];
        for (around, taps) in around.chunks_exact(4).zip(taps.chunks_exact(4)) {
            (0..4).for_each(|lane| lanes[lane] += around[lane] * taps[lane]);
        }
        lanes.iter().sum::<f64>().abs()
    };
    windows.flat_map(|around| phases.iter().map(move |taps| at(around, taps))).fold(0.0, f64::max)
}

/// As high as it is by the sampling theorem, without a filter: the spectrum, and 8 points a sample of what it is of.
fn ideal_true_peak(signal: &[f32]) -> f64 {
    const POINTS: usize = 8;
    let length = signal.len().next_multiple_of(2);
    let mut planner = realfft::RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(POINTS * length));
    let mut samples = forward.make_input_vec();
    samples.iter_mut().zip(signal).for_each(|(to, from)| *to = f64::from(*from));
    let (mut spectrum, mut finer) = (forward.make_output_vec(), inverse.make_input_vec());
    forward.process(&mut samples, &mut spectrum).unwrap();
    finer[..length / 2].copy_from_slice(&spectrum[..length / 2]);
    let mut points = inverse.make_output_vec();
    inverse.process(&mut finer, &mut points).unwrap();
    points.iter().fold(0.0, |top, point| point.abs().max(top)) / length as f64
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

/// What a limiter must stand, at most 24 dB above full scale.
fn hard_signals(rate: u32) -> Vec<(&'static str, Vec<f32>)> {
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
        ("a quarter of the rate, 45 degrees", tone(0.25, PI / 4.0, 1.0)),
        ("a quarter of the rate, 45 degrees, +24 dB", tone(0.25, PI / 4.0, 16.0)),
        ("a third of the rate", tone(1.0 / 3.0, 0.3, 4.0)),
        ("0.45 of the rate", faded(tone(0.45, 0.1, 2.0))),
        ("0.45 of the rate, at once", tone(0.45, 0.1, 2.0)),
        ("a low tone", tone(100.0 / f64::from(rate), 0.0, 3.0)),
        ("bursts", bursts),
        ("an impulse", (0..length).map(|at| if at == 3_000 { 16.0 } else { 0.0 }).collect()),
        ("noise below 0.42 of the rate", band_limited_noise(length, 0.40, 2.0)),
        ("noise below 0.42 of the rate, +24 dB", band_limited_noise(length, 0.40, 30.0)),
    ];
    let mut add =
        |what, sample: &mut dyn FnMut(usize) -> f32| signals.push((what, (0..length).map(sample).collect()));
    let square = |at: f64| if at.rem_euclid(1.0) < 0.5 { 1.0 } else { -1.0f32 };
    add("white noise", &mut |_| random.sample());
    add("white noise, +24 dB", &mut |_| 16.0 * random.sample());
    add("white noise, clipped", &mut |_| 4.0 * (4.0 * random.sample()).clamp(-1.0, 1.0));
    add("white noise in bursts", &mut |at| if at / 500 % 2 == 0 { 0.0 } else { 8.0 * random.sample() });
    add("either full scale or minus that, by chance", &mut |_| 4.0 * random.sample().signum());
    add("a square", &mut |at| square(at as f64 / 74.0));
    add("a square, +24 dB", &mut |at| 16.0 * square(at as f64 / 100.0));
    add("a square that rises to a fifth of the rate", &mut |at| {
        8.0 * square(0.2 * (at as f64).powi(2) / (2 * length) as f64)
    });
    add("a tone, clipped", &mut |at| (8.0 * (0.37 * at as f32).sin()).clamp(-1.0, 1.0));
    signals
}

#[test]
fn the_limiter_lets_no_sample_and_no_true_peak_above_its_ceiling() {
    let mut worst = [0.0f64; 4];
    for (rate, look_ahead_ms, release_ms, ceiling_db) in [
        (8_000, 1.5, 20.0, -1.0),
        (12_000, 1.5, 10.0, -1.0),
        (16_000, 3.0, 10.0, -6.0),
        (24_000, 1.5, 50.0, 0.0),
        (48_000, 1.5, 80.0, -1.0),
        (48_000, 5.0, 10.0, 0.0),
        (96_000, 1.5, 200.0, -20.0),
    ] {
        let p = LimiterParameters { ceiling_db, look_ahead_ms, release_ms };
        for (what, signal) in hard_signals(rate) {
            // Behind its end as well nothing may be too high: it goes on with silence.
            let mut out = [signal, vec![0.0; 1_000]].concat();
            Limiter::new(mono(rate), &p).process(&mut out);
            let ceiling = amplitude(ceiling_db.into());
            assert!(f64::from(peak(&out)) <= ceiling, "{what}: a sample of {}", peak(&out));
            let over_db = [
                ("4 points, 12 taps", recommended_true_peak(&out)),
                ("16 points, 128 taps", true_peak(&out, 16, 64)),
                ("8 points, 256 taps", true_peak(&out, 8, 128)),
                ("8 points, all samples", ideal_true_peak(&out)),
            ]
            .map(|(meter, peak)| (meter, db(peak) - f64::from(ceiling_db)));
            println!("{rate} Hz, {look_ahead_ms} ms, {what}: {over_db:.3?}");
            for ((meter, over_db), worst) in over_db.into_iter().zip(&mut worst) {
                *worst = worst.max(over_db);
                // The sampling theorem's own filter is as long as the sound, and no meter's.
                let most_db = if meter == "8 points, all samples" { 0.2 } else { 0.05 };
                assert!(over_db <= most_db, "{what} at {rate} Hz, {p:?}, by {meter}: {over_db} dB above");
            }
        }
    }
    println!("the highest are {worst:.3?} dB above");
}

/// It is safe, but not by being quiet: only what lies near half the sample rate is taken for higher than it is.
#[test]
fn a_limited_sound_comes_up_to_the_ceiling() {
    let p = LimiterParameters::default();
    for rate in RATES {
        for share in [0.01, 0.1, 0.25, 0.4, 0.43] {
            let tone = |at: usize| 4.0 * (TAU * share * at as f64 + 0.1).sin() as f32;
            let mut out: Vec<f32> = (0..12_000).map(tone).collect();
            Limiter::new(mono(rate), &p).process(&mut out);
            // Without an edge, which would rise above the tone.
            let fade = |at: usize| 0.5 - 0.5 * (PI * (at.min(6_000 - at) as f64 / 1_000.0).min(1.0)).cos();
            let settled: Vec<f32> =
                out[6_000..].iter().enumerate().map(|(at, sample)| sample * fade(at) as f32).collect();
            let below_db = f64::from(p.ceiling_db) - db(true_peak(&settled, 16, 64));
            println!("{rate} Hz, {share} of it: {below_db:.3} dB below");
            assert!(
                below_db < if share < 0.3 { 0.2 } else { 0.8 },
                "{share} of {rate} Hz: {below_db} dB below the ceiling"
            );
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
