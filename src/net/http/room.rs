//! Where the handler of a request reserves the memory of a large answer before it begins to build it.

use std::fmt;
use std::sync::Weak;

/// Who keeps the account of one request's memory.
pub(crate) trait Account: Send + Sync {
    /// Sees that `bytes` in all are reserved for the request's answer. `false`: there is no room for that.
    fn reserve(&self, bytes: usize) -> bool;
}

/// What an answer takes, while it is built, of the memory that all of a listener's connections share.
///
/// What was reserved is given back once the answer has been written, or once the request has ended without one.
#[derive(Clone, Default)]
pub struct AnswerRoom {
    /// Weak: what lies on a request's stack is never dropped should that overflow.
    account: Option<Weak<dyn Account>>,
}

/// There is no room for an answer of that size beside what others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room now for an answer of {bytes} bytes")]
pub struct NoRoom {
    /// The size of the answer.
    pub bytes: usize,
}

impl AnswerRoom {
    pub(crate) fn of(account: Weak<dyn Account>) -> AnswerRoom {
        AnswerRoom { account: Some(account) }
    }

    /// Sees that `bytes` in all are reserved. A request that no listener read has all the room there is.
    ///
    /// # Errors
    /// [`NoRoom`], and what was reserved before stays so; also once the request has ended.
    pub fn reserve(&self, bytes: usize) -> Result<(), NoRoom> {
        let Some(account) = &self.account else { return Ok(()) };
        let reserved = account.upgrade().is_some_and(|account| account.reserve(bytes));
        reserved.then_some(()).ok_or(NoRoom { bytes })
    }
}

impl fmt::Debug for AnswerRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerRoom").field("is_limited", &self.account.is_some()).finish()
    }
}
