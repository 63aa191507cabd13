//! The pools that people would pick instead, around the same sandboxes.

use std::marker::PhantomData;
use std::sync::Arc;

use crossbeam::channel;
use sandpool::runtime::{deep_stack, AnyError, Sandbox};

use super::Pooled;

/// What whoever has no pool that does it has to do on the way back, in a coroutine: the reset, on the deep stack if it
/// needs that.
pub(crate) fn reset_in_coroutine<S: Sandbox>(sandbox: &mut S) {
    let reset = if S::RESETS_ON_DEEP_STACK { deep_stack::run(|| sandbox.reset()) } else { sandbox.reset() };
    reset.expect("it can be reset");
}

/// Makes and resets what deadpool holds. A thread's own stack is deep enough for any reset.
pub(crate) struct Manager<S>(PhantomData<fn() -> S>);

impl<S: Pooled> deadpool::managed::Manager for Manager<S> {
    type Type = Box<S>;
    type Error = AnyError;

    async fn create(&self) -> Result<Box<S>, AnyError> {
        Ok(Box::new(S::made()))
    }

    async fn recycle(
        &self,
        sandbox: &mut Box<S>,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<AnyError> {
        sandbox.reset().map_err(deadpool::managed::RecycleError::Backend)
    }
}

pub(crate) type Deadpool<S> = deadpool::managed::Pool<Manager<S>>;

pub(crate) fn deadpool<S: Pooled>(capacity: usize) -> Deadpool<S> {
    let builder = Deadpool::builder(Manager(PhantomData)).max_size(capacity);
    builder.build().expect("these are its defaults")
}

pub(crate) type Unmanaged<S> = deadpool::unmanaged::Pool<Box<S>>;

/// deadpool's simpler pool, which resets nothing.
pub(crate) fn deadpool_unmanaged<S: Pooled>(capacity: usize) -> Unmanaged<S> {
    Unmanaged::from(boxes(capacity).collect::<Vec<_>>())
}

pub(crate) type ObjectPool<S> = Arc<object_pool::Pool<Box<S>>>;

pub(crate) fn object_pool<S: Pooled>(capacity: usize) -> ObjectPool<S> {
    Arc::new(object_pool::Pool::new(capacity, || Box::new(S::made())))
}

pub(crate) type Channel<S> = (channel::Sender<Box<S>>, channel::Receiver<Box<S>>);

pub(crate) fn crossbeam_channel<S: Pooled>(capacity: usize) -> Channel<S> {
    let (sender, receiver) = channel::bounded(capacity);
    boxes(capacity).for_each(|sandbox| sender.try_send(sandbox).expect("there is room"));
    (sender, receiver)
}

/// As many new ones.
pub(crate) fn boxes<S: Pooled>(capacity: usize) -> impl Iterator<Item = Box<S>> {
    (0..capacity).map(|_| Box::new(S::made()))
}
