//! The audio sandbox: an Opus codec pair and the filters between them.
