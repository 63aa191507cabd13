//! What can go wrong with a pool, with the figures that say why.

use std::error::Error;
use std::time::Duration;

/// An error of the embedder's own, from a factory or a reset.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// An option is out of its bounds.
    #[error("a pool cannot be made with these options")]
    Options(#[from] OptionsError),
    /// One of the sandboxes that lie ready from the start could not be built.
    #[error("the pool \"{pool}\" could not build its first sandboxes ({built} of {min_idle} done)")]
    Build {
        /// The pool's name.
        pool: String,
        /// How many were built before it.
        built: usize,
        /// How many were to be built.
        min_idle: usize,
        /// What the factory said.
        source: BuildError,
    },
    /// The keeper thread could not be started.
    #[error("the keeper thread of the pool \"{pool}\" could not be started")]
    Keeper {
        /// The pool's name.
        pool: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An option that is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} is {got}: accepted is {accepted}")]
pub struct OptionsError {
    pub(super) option: &'static str,
    pub(super) got: String,
    pub(super) accepted: String,
}

/// Why a sandbox could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The factory returned an error.
    #[error("the factory failed")]
    Failed(#[source] AnyError),
    /// The factory panicked.
    #[error("the factory panicked: {0}")]
    Panicked(String),
}

/// Why a checkout gave no lease. The figures are those of the moment of the failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// Nothing came free in time.
    #[error("waiting for a sandbox: none came free in {waited:?} ({leased} of {capacity} leased, {waiting} waiting)")]
    TimedOut {
        /// How long this checkout waited.
        waited: Duration,
        /// Sandboxes that are lent.
        leased: usize,
        /// The most sandboxes there can be.
        capacity: usize,
        /// The others that still wait.
        waiting: usize,
    },
    /// The wait was interrupted before anything came free.
    #[error("waiting for a sandbox: interrupted after {waited:?} ({leased} of {capacity} leased, {waiting} waiting)")]
    Interrupted {
        /// How long this checkout waited.
        waited: Duration,
        /// Sandboxes that are lent.
        leased: usize,
        /// The most sandboxes there can be.
        capacity: usize,
        /// The others that still wait.
        waiting: usize,
    },
    /// As many wait already as may wait.
    #[error(
        "joining the line: it is full ({waiting} of {max_waiters} waiting, {leased} of {capacity} leased, waited {waited:?})"
    )]
    LineFull {
        /// How long this checkout waited: not at all, for it never came into the line.
        waited: Duration,
        /// The most that may wait.
        max_waiters: usize,
        /// Those that wait.
        waiting: usize,
        /// Sandboxes that are lent.
        leased: usize,
        /// The most sandboxes there can be.
        capacity: usize,
    },
    /// Nothing is free, and this checkout was not to wait.
    #[error("looking for a sandbox: none is free ({leased} of {capacity} leased, {waiting} waiting)")]
    Exhausted {
        /// Sandboxes that are lent.
        leased: usize,
        /// The most sandboxes there can be.
        capacity: usize,
        /// Those that wait.
        waiting: usize,
    },
    /// The pool is closed.
    #[error(
        "the pool is closed (waited {waited:?}, {leased} of {capacity} still leased, {waiting} waiting)"
    )]
    Closed {
        /// How long this checkout had waited when the pool closed.
        waited: Duration,
        /// Sandboxes that are still lent.
        leased: usize,
        /// The most sandboxes there could be.
        capacity: usize,
        /// The others that had not been told yet.
        waiting: usize,
    },
    /// It was this checkout's turn to build a sandbox, and that failed.
    #[error("building a sandbox ({leased} of {capacity} leased, {waiting} waiting, waited {waited:?})")]
    Build {
        /// How long this checkout had waited when its turn came.
        waited: Duration,
        /// Sandboxes that are lent.
        leased: usize,
        /// The most sandboxes there can be.
        capacity: usize,
        /// Those that wait.
        waiting: usize,
        /// Why it failed.
        source: BuildError,
    },
    /// The caller runs on the deep stack, where nothing may wait; [`Pool::try_checkout`](super::Pool::try_checkout)
    /// can be used there.
    #[error("checking out on the deep stack: code that runs there must not wait")]
    NotAllowed,
}
