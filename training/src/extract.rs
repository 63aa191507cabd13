//! From excerpts to feature vectors on the disk: the slow part, done once.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use sandbox::genre::{Genre, GenreDetector, Model, FEATURES, WINDOW_HOPS};
use sandbox::Stream;

use crate::conditions::CONDITIONS;
use crate::corpus::{self, Excerpt};
use crate::{in_parallel, train, Outcome};

/// A vector is kept every two seconds: the windows that they are of overlap by half.
const BLOCK_S: f32 = 2.05;
/// How much of the last sample is taken away or added: another timbre for the same music.
const TILTS: [f32; 4] = [-0.4, -0.2, 0.3, 0.6];
/// How much faster and higher, or slower and lower, an excerpt is heard.
const SPEEDS: [f32; 6] = [0.94, 1.06, 0.97, 1.03, 0.91, 1.09];

/// What a detector made of one window of an excerpt.
pub(crate) struct Vector {
    pub(crate) genre: Genre,
    /// Source and work.
    pub(crate) work: String,
    pub(crate) excerpt: String,
    pub(crate) hearing: &'static str,
    pub(crate) features: [f32; FEATURES],
}

impl Vector {
    pub(crate) fn source(&self) -> &str {
        self.work.split('/').next().unwrap_or_default()
    }
}

/// Hears all excerpts of a part, and writes `OUT.txt`, a line for each vector (class, source and work, excerpt, hearing), and
/// `OUT.f32`.
pub(crate) fn run(corpus: &Path, part: &str, out: &str) -> Outcome<()> {
    let excerpts: Vec<(usize, Excerpt)> = corpus::list(corpus, part)?.into_iter().enumerate().collect();
    let model = Arc::new(train::untrained()?);
    let found = in_parallel(&excerpts, |(index, excerpt)| {
        hear(*index, excerpt, &model).map_err(|error| error.to_string())
    });
    let (mut lines, mut values) = (String::new(), Vec::new());
    for vectors in found {
        for Vector { genre, work, excerpt, hearing, features } in vectors? {
            writeln!(lines, "{genre} {work} {excerpt} {hearing}")?;
            values.extend(features.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
    std::fs::write(format!("{out}.txt"), lines)?;
    std::fs::write(format!("{out}.f32"), values)?;
    Ok(())
}

/// What [`run`] wrote.
pub(crate) fn read(file: &str) -> Outcome<Vec<Vector>> {
    let (lines, values) =
        (std::fs::read_to_string(format!("{file}.txt"))?, std::fs::read(format!("{file}.f32"))?);
    let rows = values.chunks_exact(4 * FEATURES);
    if rows.len() != lines.lines().count() || !rows.remainder().is_empty() {
        return Err(format!("{file}: not vectors of {FEATURES} features").into());
    }
    lines
        .lines()
        .zip(rows)
        .map(|(line, row)| {
            let words: Vec<&str> = line.split(' ').collect();
            let [genre, work, excerpt, _] = words[..] else {
                return Err(format!("{file}: `{line}`").into());
            };
            let mut features = [0.0; FEATURES];
            for (feature, bytes) in features.iter_mut().zip(row.chunks_exact(4)) {
                *feature = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            let genre = Genre::from_name(genre).ok_or_else(|| format!("{file}: `{genre}`"))?;
            Ok(Vector { genre, work: work.to_owned(), excerpt: excerpt.to_owned(), hearing: "", features })
        })
        .collect()
}

/// Hears an excerpt as it is, with another timbre, in one more condition, and at another speed in yet another one, and keeps the
/// vectors of windows that are at least half full: the detector asks the model from then on.
fn hear(index: usize, excerpt: &Excerpt, model: &Arc<Model>) -> Outcome<Vec<Vector>> {
    let samples = excerpt.samples()?;
    let tilt = TILTS[index % TILTS.len()];
    let mut last = 0.0;
    let tilted = samples.iter().map(|sample| 0.6 * (sample - tilt * std::mem::replace(&mut last, *sample)));
    let other = CONDITIONS[1 + index % (CONDITIONS.len() - 1)];
    let another = CONDITIONS[(index * 5 + 3) % CONDITIONS.len()];
    let speed = SPEEDS[index / 3 % SPEEDS.len()];
    let hearings: [(&'static str, Stream, Vec<f32>); 4] = [
        ("timbre", CONDITIONS[0].stream(), tilted.collect()),
        ("condition", other.stream(), other.apply(&samples)?),
        ("speed", another.stream(), another.apply(&at_speed(&samples, speed))?),
        ("plain", CONDITIONS[0].stream(), samples),
    ];
    let mut vectors = Vec::new();
    for (hearing, stream, heard) in hearings {
        let mut detector = GenreDetector::with_model(stream, Arc::clone(model));
        for block in heard.chunks((stream.sample_rate_hz as f32 * BLOCK_S) as usize) {
            detector.process(block);
            let features = detector.features();
            if features.hops >= WINDOW_HOPS / 2 {
                vectors.push(Vector {
                    genre: excerpt.genre,
                    work: excerpt.work.clone(),
                    excerpt: excerpt.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                    hearing,
                    features: features.vector,
                });
            }
        }
    }
    Ok(vectors)
}

/// As a tape that runs faster: a cubic through each four samples (Catmull and Rom 1974).
fn at_speed(samples: &[f32], speed: f32) -> Vec<f32> {
    let count = (samples.len() as f32 / speed) as usize;
    let sample = |at: usize| samples.get(at).copied().unwrap_or(0.0);
    (0..count)
        .map(|at| {
            let position = at as f64 * f64::from(speed);
            let (whole, t) = (position as usize, position.fract() as f32);
            let [a, b, c, d] =
                [sample(whole.saturating_sub(1)), sample(whole), sample(whole + 1), sample(whole + 2)];
            b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
        })
        .collect()
}
