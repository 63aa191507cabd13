//! Trains the genre model, and says how good it is on works that the training never saw.
//!
//! ```text
//! genre-training extract  CORPUS PART OUT       that part's feature vectors: OUT.txt (rows), OUT.f32 (values)
//! genre-training train    MODEL OUT...          trains on these vectors, and writes MODEL
//! genre-training evaluate CORPUS PART [MODEL]   the shipped model, or that one, through the detector itself
//! ```
//!
//! `CORPUS` is what `gather.py` leaves: `train/`, `development/` and `test/`, in each a folder a class, in that 48 kHz mono WAV
//! files named `SOURCE__WORK__EXCERPT.wav`.

mod conditions;
mod corpus;
mod evaluate;
mod extract;
mod network;
mod train;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sandbox::genre::Model;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["extract", corpus, part, out] => extract::run(Path::new(corpus), part, out),
        ["train", model, ref vectors @ ..] if !vectors.is_empty() => train::run(Path::new(model), vectors),
        ["evaluate", corpus, part] => evaluate::run(Path::new(corpus), part, Model::shipped()),
        ["evaluate", corpus, part, model] => std::fs::read_to_string(model)
            .map_err(Into::into)
            .and_then(|text| Ok(Model::parse(&text)?))
            .and_then(|model| evaluate::run(Path::new(corpus), part, Arc::new(model))),
        _ => Err("extract CORPUS PART OUT | train MODEL OUT... | evaluate CORPUS PART [MODEL]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("genre-training: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever went wrong, to be said and to end with.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The results of `work` on each item, in the items' order, by four threads.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let share = items.len().div_ceil(4).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(|| items.iter().map(&work).collect::<Vec<R>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that does not panic")).collect()
    })
}
