//! The files that a command reads and writes. What is wrong with them shows before anything is begun.

use crate::audio_file::{Recording, WavError, WavWriteError};
use std::fs::{File, OpenOptions};
use std::io::{Cursor, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest file that is read: three quarters of an hour of 48 kHz stereo in 16 bits. All of it is held in
/// memory, as `f32` and several times over.
const MAX_INPUT_BYTES: u64 = 512 << 20;

/// What is wrong with one of the files.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("can't read {}", path.display())]
    Input {
        path: PathBuf,
        #[source]
        source: WavError,
    },
    #[error("{} holds no samples", .0.display())]
    Empty(PathBuf),
    #[error("{} is {of} as well: what is written needs a file of its own", path.display())]
    SameFile {
        path: PathBuf,
        /// What the other one is for.
        of: &'static str,
    },
    #[error("can't write {}", path.display())]
    Output {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("can't write {}", path.display())]
    Recording {
        path: PathBuf,
        #[source]
        source: WavWriteError,
    },
}

/// Reads the whole input.
pub(super) fn read_input(path: &Path) -> Result<Recording, FileError> {
    let failed = |source| FileError::Input { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    let recording = Recording::read_wav(file, MAX_INPUT_BYTES).map_err(failed)?;
    match recording.frames() {
        0 => Err(FileError::Empty(path.to_path_buf())),
        _ => Ok(recording),
    }
}

/// An output, which is known to be writable before the work starts and is written after it has ended. Until then a file
/// that was there keeps what it had, and one that was not is not there, however the work ends.
pub(super) struct OutputFile {
    path: PathBuf,
    /// `None` where there was no file.
    existing: Option<File>,
}

impl OutputFile {
    /// Makes sure that `path` can be written, and is not the file at `input`.
    pub(super) fn open(path: &Path, input: &Path) -> Result<Self, FileError> {
        Self::open_beside(path, &[("the input", input)])
    }

    /// Makes sure that `path` can be written, and is none of the files at `others`, each told by what it is for.
    pub(super) fn open_beside(path: &Path, others: &[(&'static str, &Path)]) -> Result<Self, FileError> {
        let path = path.to_path_buf();
        for (of, other) in others {
            if is_same_file(&path, other) {
                return Err(FileError::SameFile { path, of });
            }
        }
        let existing = match OpenOptions::new().write(true).create_new(true).open(&path) {
            // It can be created, and is when there is something to write.
            Ok(_) => std::fs::remove_file(&path).map(|()| None),
            Err(_) => OpenOptions::new().write(true).create(true).truncate(false).open(&path).map(Some),
        };
        match existing {
            Ok(existing) => Ok(Self { path, existing }),
            Err(source) => Err(FileError::Output { path, source }),
        }
    }

    /// Makes `recording` its content.
    pub(super) fn write(self, recording: &Recording) -> Result<(), FileError> {
        // By way of memory, for the header is written last, and what is not a plain file can't go back.
        let mut bytes = Cursor::new(Vec::new());
        match recording.write_wav(&mut bytes) {
            Ok(()) => self.write_bytes(bytes.get_ref()),
            Err(source) => Err(FileError::Recording { path: self.path, source }),
        }
    }

    /// Makes `bytes` its content.
    pub(super) fn write_bytes(self, bytes: &[u8]) -> Result<(), FileError> {
        let Self { path, existing } = self;
        let is_new = existing.is_none();
        let file = existing.map_or_else(|| File::create(&path), Ok);
        let written = file.and_then(|mut file| {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.write_all(bytes)
        });
        written.map_err(|source| {
            if is_new {
                // best effort: half a file left behind harms nobody who has read the error
                let _ = std::fs::remove_file(&path);
            }
            FileError::Output { path, source }
        })
    }
}

/// Whether both paths lead to one file. Two that are not there yet are one if they have the same name in one directory.
fn is_same_file(path: &Path, other: &Path) -> bool {
    match (path.metadata(), other.metadata()) {
        (Ok(path), Ok(other)) => other.is_file() && (path.dev(), path.ino()) == (other.dev(), other.ino()),
        (Err(_), Err(_)) => resolved(path) == resolved(other),
        _ => false,
    }
}

/// `path` with the directory that it is in found out.
fn resolved(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    path.file_name().map_or_else(|| directory.clone(), |name| directory.join(name))
}

/// A directory for a test's files that is removed with all it holds.
#[cfg(test)]
pub(super) struct TestDirectory(pub(super) PathBuf);

#[cfg(test)]
impl TestDirectory {
    /// `name` tells it from those of tests that run beside it.
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sandpool-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn wav(&self, name: &str, recording: &Recording) -> PathBuf {
        let path = self.0.join(name);
        recording.write_wav(std::io::BufWriter::new(File::create(&path).unwrap())).unwrap();
        path
    }
}

#[cfg(test)]
impl Drop for TestDirectory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::super::with_causes;
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};

    fn recording(frames: usize) -> Recording {
        let format = WavFormat { sample_rate: 8_000, channels: 1, sample_format: SampleFormat::I16 };
        Recording { format, samples: vec![0.25; frames] }
    }

    #[test]
    fn an_input_that_will_not_do_is_told_with_its_name() {
        let directory = TestDirectory::new("inputs");
        let good = directory.wav("good.wav", &recording(8));
        assert_eq!(read_input(&good).unwrap(), recording(8));
        let empty = directory.wav("empty.wav", &recording(0));
        let text = directory.0.join("notes.txt");
        std::fs::write(&text, "not a recording").unwrap();
        for (path, expected) in [
            (&directory.0.join("missing.wav"), "missing.wav: reading the WAV file failed: No such file"),
            (&text, "notes.txt: not a WAV file: it begins with \"not a record"),
            (&directory.0, "directory"),
            (&empty, "empty.wav holds no samples"),
        ] {
            let message = with_causes(&read_input(path).unwrap_err());
            assert!(message.contains(expected), "{message} should contain {expected}");
        }
    }

    #[test]
    fn an_output_is_a_file_of_its_own_that_can_be_written() {
        let directory = TestDirectory::new("outputs");
        let input = directory.wav("in.wav", &recording(8));
        let (hard, soft) = (directory.0.join("hard.wav"), directory.0.join("soft.wav"));
        std::fs::hard_link(&input, &hard).unwrap();
        std::os::unix::fs::symlink(&input, &soft).unwrap();
        for (output, expected) in [
            (&input, "a file of its own"),
            (&hard, "a file of its own"),
            (&soft, "a file of its own"),
            (&directory.0.join("no/such/dir.wav"), "no/such/dir.wav: No such file"),
            (&directory.0, "can't write"),
        ] {
            let error = OutputFile::open(output, &input).err().expect("no output");
            assert!(with_causes(&error).contains(expected), "{error} should contain {expected}");
        }
        assert_eq!(read_input(&input).unwrap(), recording(8));
    }

    #[test]
    fn an_output_replaces_what_was_there_only_when_it_is_written() {
        let directory = TestDirectory::new("replaced");
        let input = directory.wav("in.wav", &recording(8));
        let (old, new) = (directory.wav("old.wav", &recording(99)), directory.0.join("new.wav"));
        for (path, was_there) in [(&old, true), (&new, false)] {
            let output = OutputFile::open(path, &input).unwrap();
            // Whatever ends the program now, a signal too, leaves everything as it was.
            assert_eq!(path.exists(), was_there);
            assert!(!was_there || read_input(path).unwrap() == recording(99));
            output.write(&recording(3)).unwrap();
            assert_eq!(read_input(path).unwrap(), recording(3));
        }
        OutputFile::open(Path::new("/dev/null"), &input).unwrap().write(&recording(3)).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn two_outputs_that_are_not_there_yet_need_names_of_their_own() {
        let directory = TestDirectory::new("both");
        let (path, same) = (directory.0.join("out.wav"), directory.0.join("./out.wav"));
        let error = OutputFile::open_beside(&same, &[("the output", &path)]).err().expect("no output");
        assert!(error.to_string().contains("is the output as well"), "{error}");
        assert!(OutputFile::open_beside(&directory.0.join("out.svg"), &[("the output", &path)]).is_ok());
    }
}
