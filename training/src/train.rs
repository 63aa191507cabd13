//! From vectors to a model's file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use sandbox::genre::{feature_names, Genre, Model, CLASSES, FEATURES, FEATURE_VERSION};

use crate::extract::{self, Vector};
use crate::network::{softmax, Example, Network, Random};
use crate::{in_parallel, Outcome};

/// Networks that are trained apart, and the hidden units of each; their mean is one network with all of these units.
const BAG: u64 = 2;
const HIDDEN: usize = 32;
const EPOCHS: usize = 16;
const FOLDS: u64 = 4;
/// The confidence below which `unknown` is said: see README.md.
const THRESHOLD: f32 = 0.35;
const DECAY: f32 = 0.01;
const NOISE: f32 = 0.3;
/// A vector, its class, its work, and what it is left out with in the cross-validation.
struct Observation {
    example: Example,
    work: usize,
    fold: u64,
}

/// A model's file that says nothing, for a detector whose features alone are wanted.
pub(crate) fn untrained() -> Outcome<Model> {
    let network = Network::new(1, &mut Random(1));
    Ok(Model::parse(&write(&network, &[0.0; FEATURES], &[1.0; FEATURES], 1.0))?)
}

/// Trains on the vectors in these files, and writes the model.
pub(crate) fn run(target: &Path, files: &[&str]) -> Outcome<()> {
    let (mut vectors, mut excerpts) = (Vec::new(), 0);
    for file in files {
        let read = extract::read(file)?;
        excerpts += read.iter().map(|one| (one.genre.index(), &one.excerpt)).collect::<BTreeSet<_>>().len();
        vectors.extend(read);
    }
    let mut observations = numbered(&vectors);
    let (mean, scale) = standardise(&mut observations);
    weigh(&mut observations);
    let works = observations.iter().map(|one| one.work).collect::<BTreeSet<_>>().len();
    println!("{excerpts} excerpts of {works} works give {} vectors", observations.len());

    // What a network says of packages that it did not see sets the temperature.
    let folds: Vec<u64> = (0..FOLDS).collect();
    let unseen = in_parallel(&folds, |&fold| {
        let inside: Vec<&Example> =
            observations.iter().filter(|one| one.fold != fold).map(|one| &one.example).collect();
        let network = trained(&inside, 7 + fold);
        let outside = observations.iter().filter(|one| one.fold == fold).map(|one| &one.example);
        outside
            .map(|example| (network.scores(&example.features), example.class, example.weight))
            .collect::<Vec<_>>()
    });
    let unseen = unseen.concat();
    let temperature = calibrate(&unseen);
    let right: f32 =
        unseen.iter().filter(|(scores, class, _)| argmax(scores) == *class).map(|one| one.2).sum();
    let all: f32 = unseen.iter().map(|one| one.2).sum();
    println!(
        "cross-validation by packages: {:.1} % of single windows, temperature {temperature:.2}",
        100.0 * right / all
    );

    let examples: Vec<&Example> = observations.iter().map(|one| &one.example).collect();
    let text = write(&trained(&examples, 1), &mean, &scale, temperature);
    std::fs::write(target, &text)?;
    Model::parse(&text)?;
    println!("model.txt: {} bytes", text.len());
    Ok(())
}

fn numbered(vectors: &[Vector]) -> Vec<Observation> {
    let mut works = BTreeMap::new();
    vectors
        .iter()
        .map(|vector| {
            let next = works.len();
            let work = *works.entry((vector.genre.index(), &vector.work)).or_insert(next);
            let example = Example { features: vector.features, class: vector.genre.index(), weight: 1.0 };
            Observation { example, work, fold: fold_of(vector) }
        })
        .collect()
}

fn trained(examples: &[&Example], seed: u64) -> Network {
    let bag: Vec<u64> = (0..BAG).map(|one| seed * BAG + one).collect();
    Network::mean(&in_parallel(&bag, |&seed| one_trained(examples, seed)))
}

fn one_trained(examples: &[&Example], seed: u64) -> Network {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut network = Network::new(HIDDEN, &mut random);
    for epoch in 0..EPOCHS {
        // down along half a cosine: Loshchilov and Hutter 2017
        let rate = 0.002 * (0.5 + 0.5 * (epoch as f32 / EPOCHS as f32 * std::f32::consts::PI).cos());
        network.epoch(examples, rate, DECAY, NOISE, &mut random);
    }
    network
}

/// Mean and one over the standard deviation of each feature; the features are brought to 0 and 1 by them.
fn standardise(observations: &mut [Observation]) -> ([f32; FEATURES], [f32; FEATURES]) {
    let (mut mean, mut scale) = ([0.0_f32; FEATURES], [0.0_f32; FEATURES]);
    let count = observations.len() as f64;
    for at in 0..FEATURES {
        let values = || observations.iter().map(|one| f64::from(one.example.features[at]));
        let centre = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - centre).powi(2)).sum::<f64>() / count;
        mean[at] = centre as f32;
        scale[at] = (1.0 / variance.sqrt().max(1e-3)) as f32;
    }
    for one in observations.iter_mut() {
        for (at, feature) in one.example.features.iter_mut().enumerate() {
            // as Model::probabilities does
            *feature = ((*feature - mean[at]) * scale[at]).clamp(-5.0, 5.0);
        }
    }
    (mean, scale)
}

/// Classes count alike, and within a class a work with many excerpts counts as the root of their number.
fn weigh(observations: &mut [Observation]) {
    let mut per_work = BTreeMap::<usize, f32>::new();
    for one in observations.iter() {
        *per_work.entry(one.work).or_default() += 1.0;
    }
    let mut per_class = [0.0_f32; CLASSES];
    for one in observations.iter_mut() {
        one.example.weight = 1.0 / per_work[&one.work].sqrt();
        per_class[one.example.class] += one.example.weight;
    }
    let count = observations.len() as f32;
    for one in observations.iter_mut() {
        one.example.weight *= count / CLASSES as f32 / per_class[one.example.class];
    }
}

/// A package is left out as a whole; what is made here from many styles and scores, by works.
fn fold_of(vector: &Vector) -> u64 {
    let made = ["mma", "composed", "music21", "synthetic"].contains(&vector.source());
    // the same notes on other instruments are the same work
    let name = if made { &vector.work.replace("-band", "") } else { vector.source() };
    // FNV-1a
    let hash = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    (hash >> 32) % FOLDS
}

/// The temperature with the smallest cross-entropy.
fn calibrate(unseen: &[([f32; CLASSES], usize, f32)]) -> f32 {
    let loss = |temperature: f32| -> f64 {
        unseen
            .iter()
            .map(|(scores, class, weight)| {
                -f64::from(*weight) * f64::from(softmax(scores, temperature)[*class].max(1e-9)).ln()
            })
            .sum()
    };
    (4..60).map(|step| step as f32 * 0.05).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0)
}

fn argmax(scores: &[f32; CLASSES]) -> usize {
    (0..CLASSES).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0)
}

fn write(network: &Network, mean: &[f32], scale: &[f32], temperature: f32) -> String {
    let numbers = |values: &[f32]| -> String {
        values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ")
    };
    let classes = Genre::ALL.map(Genre::name).join(" ");
    let mut text = format!("sandpool-genre-features {FEATURE_VERSION}\nclasses {classes}\n");
    let mut line = |name: &str, values: String| {
        // a String never refuses
        let _ = writeln!(text, "{name} {values}");
    };
    line("features", feature_names().join(" "));
    line("hidden", network.hidden.to_string());
    line("temperature-threshold", numbers(&[temperature, THRESHOLD]));
    line("mean", numbers(mean));
    line("scale", numbers(scale));
    line("input-bias", numbers(network.input_bias()));
    line("output-bias", numbers(network.output_bias()));
    // two decimals: with some eighty inputs the rounding is far below the noise that the training adds
    let short = |row: &[f32]| -> String {
        let words = row.iter().map(|value| match format!("{value:.2}") {
            // without the nought before the point
            word if value.abs() < 0.99 => word.replacen("0.", ".", 1),
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    network.input().chunks_exact(network.hidden).for_each(|row| line("input", short(row)));
    network.output().chunks_exact(network.hidden).for_each(|row| line("output", numbers(row)));
    text
}
