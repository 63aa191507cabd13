//! Trains the genre model, and says how good it is on works that the training never saw.
//!
//! ```text
//! genre-training train    CORPUS MODEL     extracts, trains, writes MODEL, evaluates
//! genre-training evaluate CORPUS [MODEL]   the shipped model, or that one, through the detector itself
//! genre-training export   CORPUS PART OUT  that part's feature vectors for other tools: OUT.txt (rows), OUT.f32 (values)
//! ```
//!
//! `CORPUS` is what `gather.py` leaves: `train/` and `test/`, in each a folder a class, in that 48 kHz mono WAV files named
//! `SOURCE__WORK__EXCERPT.wav`.

mod conditions;
mod corpus;
mod evaluate;
mod export;
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
        ["train", corpus, model] => train::run(Path::new(corpus), Path::new(model)),
        ["export", corpus, part, out] => export::run(Path::new(corpus), part, out),
        ["evaluate", corpus] => evaluate::run(Path::new(corpus), Model::shipped()),
        ["evaluate", corpus, model] => std::fs::read_to_string(model)
            .map_err(Into::into)
            .and_then(|text| Ok(Model::parse(&text)?))
            .and_then(|model| evaluate::run(Path::new(corpus), Arc::new(model))),
        _ => Err("train CORPUS MODEL | evaluate CORPUS [MODEL]".into()),
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
