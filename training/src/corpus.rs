//! The excerpts on the disk.

use std::path::{Path, PathBuf};

use sandbox::genre::Genre;

use crate::Outcome;

/// The rate of all excerpts.
pub(crate) const RATE_HZ: u32 = 48_000;

/// One excerpt.
pub(crate) struct Excerpt {
    pub(crate) path: PathBuf,
    pub(crate) genre: Genre,
    /// The package it is from.
    pub(crate) source: String,
    /// Source and work: what is validated together.
    pub(crate) work: String,
}

impl Excerpt {
    pub(crate) fn samples(&self) -> Outcome<Vec<f32>> {
        let reader = hound::WavReader::open(&self.path)?;
        if reader.spec().sample_rate != RATE_HZ || reader.spec().channels != 1 {
            return Err(format!("{}: not {RATE_HZ} Hz mono", self.path.display()).into());
        }
        let samples: Result<Vec<f32>, _> = reader
            .into_samples::<i16>()
            .map(|sample| sample.map(|sample| f32::from(sample) / 32_768.0))
            .collect();
        Ok(samples?)
    }
}

/// All excerpts of a part (`train`, `development` or `test`), in the order of their names.
pub(crate) fn list(corpus: &Path, part: &str) -> Outcome<Vec<Excerpt>> {
    let mut excerpts = Vec::new();
    for genre in Genre::ALL {
        let folder = corpus.join(part).join(genre.name());
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let mut parts = name.split("__");
            let source = parts.next().unwrap_or_default().to_owned();
            let work = format!("{source}/{}", parts.next().unwrap_or_default());
            excerpts.push(Excerpt { path, genre, source, work });
        }
    }
    Ok(excerpts)
}
