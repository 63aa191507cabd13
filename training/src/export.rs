//! Feature vectors on the disk, to look for better models with faster tools.

use std::fmt::Write as _;
use std::path::Path;

use sandbox::genre::{GenreDetector, CLASSIFY_HOPS, HOP, NARROW_BAND_HZ};

use crate::conditions::CONDITIONS;
use crate::corpus::{self, Excerpt};
use crate::{in_parallel, Outcome};

/// After this many seconds, every sixth vector only.
const DENSE_S: f32 = 5.1;

/// Writes `OUT.txt`, a line for each row (class, source/work, condition, seconds, hops in the window), and `OUT.f32`.
pub(crate) fn run(corpus: &Path, part: &str, out: &str) -> Outcome<()> {
    let excerpts: Vec<(usize, Excerpt)> = corpus::list(corpus, part)?.into_iter().enumerate().collect();
    let found =
        in_parallel(&excerpts, |(index, excerpt)| rows(*index, excerpt).map_err(|error| error.to_string()));
    let (mut lines, mut values) = (String::new(), Vec::new());
    for rows in found {
        let (text, numbers) = rows?;
        lines.push_str(&text);
        values.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    std::fs::write(format!("{out}.txt"), lines)?;
    std::fs::write(format!("{out}.f32"), values)?;
    Ok(())
}

fn rows(index: usize, excerpt: &Excerpt) -> Outcome<(String, Vec<f32>)> {
    let samples = excerpt.samples()?;
    let (mut lines, mut values) = (String::new(), Vec::new());
    for at in [0, 1 + index % (CONDITIONS.len() - 1)] {
        let stream = CONDITIONS[at].stream();
        let mut detector = GenreDetector::new(stream);
        let step_s = (CLASSIFY_HOPS * HOP) as f32 / NARROW_BAND_HZ as f32;
        let block = (step_s * stream.sample_rate_hz as f32) as usize;
        for (number, block) in CONDITIONS[at].apply(&samples)?.chunks(block).enumerate() {
            detector.process(block);
            let (features, seconds) = (detector.features(), step_s * (number + 1) as f32);
            if features.hops > 0 && (seconds < DENSE_S || number % 6 == 0) {
                writeln!(
                    lines,
                    "{index} {} {} {at} {seconds:.3} {}",
                    excerpt.genre, excerpt.work, features.hops
                )?;
                values.extend_from_slice(&features.vector);
            }
        }
    }
    Ok((lines, values))
}
