//! The classifier: standardised features, one hidden layer, softmax.
//!
//! `p = softmax(W2 relu(W1 (x - mean) / scale + b1) + b2) / T)`: Bishop, "Pattern Recognition and Machine Learning",
//! eqs. 5.7 and 4.104; the temperature `T` calibrates the confidence (Guo et al. 2017, "On Calibration of Modern Neural
//! Networks", eq. 9). It is data: a text file of named lines, read once.

use std::sync::{Arc, LazyLock};

use super::statistics::{feature_names, FEATURES, FEATURE_VERSION};
use super::Genre;

/// Probabilities that the model gives: the five genres, and none of them.
pub const CLASSES: usize = 6;
/// Most hidden units that a model may have.
const MAX_HIDDEN: usize = 64;
/// A standardised feature further out is nothing that the training saw: it counts as this far.
const FARTHEST: f32 = 5.0;

/// Why a model's file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A line is missing, or has another name.
    #[error("line {line} should begin with `{wanted}`, but is `{found}`")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The name that belongs there.
        wanted: &'static str,
        /// What stands there, its beginning.
        found: String,
    },
    /// Trained on features that mean something else than those that this code computes.
    #[error("the model's features have version {found}, this code computes version {FEATURE_VERSION}")]
    Version {
        /// What the file says.
        found: String,
    },
    /// Trained on other features than this code computes.
    #[error("feature {at} is `{found}` in the model, but this code computes `{wanted}`")]
    Feature {
        /// Its place, from 0.
        at: usize,
        /// The name in the file.
        found: String,
        /// The name that this code has there.
        wanted: String,
    },
    /// Trained for other classes.
    #[error("the model's classes are `{0}`")]
    Classes(String),
    /// Numbers are missing, too many, or none.
    #[error("`{name}` needs {wanted} finite numbers, and has {found}")]
    Numbers {
        /// The line's name.
        name: &'static str,
        /// How many there should be.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A hidden layer that is empty or larger than 64 units.
    #[error("the model has {0} hidden units; 1 to {MAX_HIDDEN} are possible")]
    Hidden(usize),
}

/// A trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    mean: [f32; FEATURES],
    /// One over the standard deviation.
    scale: [f32; FEATURES],
    /// A row of `hidden` weights for each feature, padded to `MAX_HIDDEN`: inputs are walked through, sums kept side by side.
    input: Vec<[f32; MAX_HIDDEN]>,
    input_bias: [f32; MAX_HIDDEN],
    output: Vec<[f32; MAX_HIDDEN]>,
    output_bias: [f32; CLASSES],
    temperature: f32,
    threshold: f32,
}

static SHIPPED: LazyLock<Arc<Model>> = LazyLock::new(|| match Model::parse(include_str!("model.txt")) {
    Ok(model) => Arc::new(model),
    // a test reads it, so a build that passed its tests never comes here
    Err(error) => unreachable!("the shipped genre model: {error}"),
});

impl Model {
    /// The one that this crate brings along.
    pub fn shipped() -> Arc<Self> {
        Arc::clone(&SHIPPED)
    }

    /// Reads a model's file.
    ///
    /// # Errors
    /// When it is not a model's file, or not one for the features and classes of this code.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let mut lines = Lines { lines: text.lines().enumerate() };
        let version = lines.named("sandpool-genre-features")?;
        if version != FEATURE_VERSION.to_string() {
            return Err(ModelError::Version { found: version.to_owned() });
        }
        let classes = lines.named("classes")?;
        if !classes.split(' ').eq(Genre::ALL.iter().map(|genre| genre.name())) {
            return Err(ModelError::Classes(classes.to_owned()));
        }
        let names = lines.named("features")?;
        let mut found = names.split(' ');
        for (at, wanted) in feature_names().into_iter().enumerate() {
            let found = found.next().unwrap_or_default();
            if found != wanted {
                return Err(ModelError::Feature { at, found: found.to_owned(), wanted });
            }
        }
        if let Some(more) = found.next() {
            return Err(ModelError::Feature { at: FEATURES, found: more.to_owned(), wanted: String::new() });
        }
        let hidden = lines.numbers("hidden", 1)?[0] as usize;
        if !(1..=MAX_HIDDEN).contains(&hidden) {
            return Err(ModelError::Hidden(hidden));
        }
        let [temperature, threshold] = lines.array("temperature-threshold")?;
        let mut model = Self {
            mean: lines.array("mean")?,
            scale: lines.array("scale")?,
            input: Vec::with_capacity(FEATURES),
            input_bias: padded(&lines.numbers("input-bias", hidden)?),
            output: Vec::with_capacity(CLASSES),
            output_bias: lines.array("output-bias")?,
            temperature,
            threshold,
        };
        for _ in 0..FEATURES {
            model.input.push(padded(&lines.numbers("input", hidden)?));
        }
        for _ in 0..CLASSES {
            model.output.push(padded(&lines.numbers("output", hidden)?));
        }
        Ok(model)
    }

    /// The probability of each of [`Genre::ALL`]; together 1. Allocates nothing.
    pub fn probabilities(&self, features: &[f32; FEATURES]) -> [f32; CLASSES] {
        let mut hidden = self.input_bias;
        for (at, weights) in self.input.iter().enumerate() {
            let value = ((features[at] - self.mean[at]) * self.scale[at]).clamp(-FARTHEST, FARTHEST);
            for unit in 0..MAX_HIDDEN {
                hidden[unit] += value * weights[unit];
            }
        }
        let mut scores = self.output_bias;
        for (score, weights) in scores.iter_mut().zip(&self.output) {
            let mut sums = [0.0_f32; 8];
            for (eight, weights) in hidden.chunks_exact(8).zip(weights.chunks_exact(8)) {
                for lane in 0..8 {
                    sums[lane] += eight[lane].max(0.0) * weights[lane];
                }
            }
            *score = (*score + sums.iter().sum::<f32>()) / self.temperature;
        }
        let most = scores.iter().fold(f32::MIN, |most, score| most.max(*score));
        let weights = scores.map(|score| (score - most).exp());
        let total: f32 = weights.iter().sum();
        weights.map(|weight| weight / total)
    }

    /// The confidence below which a genre is not named.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }
}

fn padded(values: &[f32]) -> [f32; MAX_HIDDEN] {
    std::array::from_fn(|at| values.get(at).copied().unwrap_or(0.0))
}

struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    /// What stands behind the name.
    fn named(&mut self, wanted: &'static str) -> Result<&'a str, ModelError> {
        let (at, line) = self.lines.next().unwrap_or((usize::MAX - 1, ""));
        match line.split_once(' ') {
            Some((name, rest)) if name == wanted => Ok(rest.trim_end()),
            _ => Err(ModelError::Line { line: at + 1, wanted, found: line.chars().take(40).collect() }),
        }
    }

    fn numbers(&mut self, name: &'static str, wanted: usize) -> Result<Vec<f32>, ModelError> {
        let rest = self.named(name)?;
        let numbers: Vec<f32> = rest
            .split(' ')
            .map_while(|word| word.parse().ok().filter(|number: &f32| number.is_finite()))
            .collect();
        let words = rest.split(' ').count();
        if numbers.len() == wanted && words == wanted {
            Ok(numbers)
        } else {
            Err(ModelError::Numbers { name, wanted, found: numbers.len() })
        }
    }

    fn array<const N: usize>(&mut self, name: &'static str) -> Result<[f32; N], ModelError> {
        let numbers = self.numbers(name, N)?;
        Ok(std::array::from_fn(|at| numbers[at]))
    }
}
