//! What the detector says after five seconds of a part, as a whole and by condition, source and confidence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sandbox::genre::{Genre, GenreDetector, Model, CLASSES};

use crate::conditions::{Condition, CONDITIONS};
use crate::corpus::{self, Excerpt, RATE_HZ};
use crate::{in_parallel, Outcome};

const SECONDS: f32 = 5.0;

type Matrix = [[usize; CLASSES]; CLASSES];

/// Prints it all.
pub(crate) fn run(corpus: &Path, part: &str, model: Arc<Model>) -> Outcome<()> {
    let excerpts = corpus::list(corpus, part)?;
    let mut matrices: Vec<(Condition, Matrix)> =
        CONDITIONS.iter().map(|condition| (*condition, Matrix::default())).collect();
    let mut sources = BTreeMap::<(usize, String), [usize; CLASSES]>::new();
    // right and all, in tenths of confidence
    let mut confidences = [[0_usize; 2]; 10];
    let answers =
        in_parallel(&excerpts, |excerpt| answers(excerpt, &model).map_err(|error| error.to_string()));
    for (excerpt, answers) in excerpts.iter().zip(answers) {
        for (at, ((_, matrix), (said, confidence))) in matrices.iter_mut().zip(answers?).enumerate() {
            matrix[excerpt.genre.index()][said.index()] += 1;
            if said != Genre::Unknown {
                let tenth = &mut confidences[((confidence * 10.0) as usize).min(9)];
                tenth[0] += usize::from(said == excerpt.genre);
                tenth[1] += 1;
            }
            if at == 0 {
                let key = (excerpt.genre.index(), excerpt.source.clone());
                sources.entry(key).or_default()[said.index()] += 1;
            }
        }
    }
    println!("\nafter {SECONDS} s, 48 kHz, as it is: rows are what it was, columns what was said");
    print_matrix(&matrices[0].1);
    println!(
        "\n{:26} {:>8} {:>14} {:>22}",
        "condition", "right", "mean of classes", "unknown said of genres"
    );
    for (condition, matrix) in &matrices {
        let summary = Summary::of(matrix);
        println!(
            "{:26} {:6.1} % {:12.1} % {:20.1} %",
            condition.name,
            100.0 * summary.right,
            100.0 * summary.mean,
            100.0 * summary.unsure
        );
    }
    println!("\nby source, as it is:");
    for ((genre, source), said) in &sources {
        let count: usize = said.iter().sum();
        let others: Vec<String> = Genre::ALL
            .iter()
            .filter(|other| other.index() != *genre && said[other.index()] > 0)
            .map(|other| format!("{} {}", said[other.index()], other.name()))
            .collect();
        println!(
            "{:11} {source:34} {:3} of {count:3}   {}",
            Genre::ALL[*genre].name(),
            said[*genre],
            others.join(", ")
        );
    }
    println!("\nconfidence and how often it is right, where a genre is named, all conditions:");
    for (tenth, [right, all]) in confidences.iter().enumerate().filter(|(_, [_, all])| *all > 0) {
        println!(
            "{:.1} to {:.1}: {:5.1} % of {all}",
            tenth as f32 / 10.0,
            (tenth + 1) as f32 / 10.0,
            100.0 * *right as f32 / *all as f32
        );
    }
    Ok(())
}

/// What is said in each condition, and how surely.
fn answers(excerpt: &Excerpt, model: &Arc<Model>) -> Outcome<Vec<(Genre, f32)>> {
    let mut samples = excerpt.samples()?;
    samples.truncate((RATE_HZ as f32 * SECONDS) as usize);
    CONDITIONS
        .iter()
        .map(|condition| {
            let mut detector = GenreDetector::with_model(condition.stream(), Arc::clone(model));
            detector.process(&condition.apply(&samples)?);
            Ok((detector.genre(), detector.confidence()))
        })
        .collect()
}

struct Summary {
    /// Of all excerpts of the five genres; `unknown` is wrong here.
    right: f32,
    /// The mean of the five genres' shares.
    mean: f32,
    unsure: f32,
}

impl Summary {
    fn of(matrix: &Matrix) -> Self {
        let genres = &matrix[..Genre::Unknown.index()];
        let all: usize = genres.iter().flatten().sum();
        let right: usize = genres.iter().enumerate().map(|(at, row)| row[at]).sum();
        let unsure: usize = genres.iter().map(|row| row[Genre::Unknown.index()]).sum();
        let shares = genres
            .iter()
            .enumerate()
            .map(|(at, row)| row[at] as f32 / row.iter().sum::<usize>().max(1) as f32);
        let count = all.max(1) as f32;
        Self {
            right: right as f32 / count,
            mean: shares.sum::<f32>() / genres.len() as f32,
            unsure: unsure as f32 / count,
        }
    }
}

fn print_matrix(matrix: &Matrix) {
    print!("{:11}", "");
    Genre::ALL.iter().for_each(|genre| print!(" {:>10}", genre.name()));
    println!("       right");
    for (genre, row) in Genre::ALL.iter().zip(matrix) {
        print!("{:11}", genre.name());
        row.iter().for_each(|count| print!(" {count:>10}"));
        println!(" {:9.1} %", 100.0 * row[genre.index()] as f32 / row.iter().sum::<usize>().max(1) as f32);
    }
    let summary = Summary::of(matrix);
    println!(
        "of the five genres: {:.1} %, mean of the genres' shares {:.1} %",
        100.0 * summary.right,
        100.0 * summary.mean
    );
}
