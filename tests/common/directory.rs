//! Files of a test.

use std::path::PathBuf;

use sandpool::audio_file::Recording;

use super::wav_bytes;

/// A directory for one test's files, removed with all it holds.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("sandpool-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn wav(&self, name: &str, recording: &Recording) -> PathBuf {
        std::fs::write(self.path(name), wav_bytes(recording)).unwrap();
        self.path(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
