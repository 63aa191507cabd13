//! Ends one wait of a coroutine early, and not the coroutine.

use std::sync::Arc;

use super::time::Waiter;

/// Says that what a coroutine waits for is not wanted any more: [`Pool::checkout_unless`](super::Pool::checkout_unless)
/// gives up then. A [`Canceller`](super::Canceller) ends a coroutine; this leaves it to go on with something else.
///
/// Whoever raises it first has [`is_raised`](Self::is_raised) say so and then unparks the [`waiter`](Self::waiter), if it
/// has been asked for; the one that waits does it the other way round, so one of the two sees what the other did.
pub trait Interrupt {
    /// Whether it has been raised. Once it has it stays so.
    fn is_raised(&self) -> bool;

    /// Where the current coroutine is going to wait.
    fn waiter(&self) -> Arc<Waiter>;
}
