//! Values that belong to one coroutine.

use std::any::{Any, TypeId};
use std::rc::Rc;

use super::local;

/// Typed values of the current coroutine, one a type.
///
/// Two coroutines never see each other's, also when they share a worker, and a value stays with its
/// coroutine across every yield and from worker to worker. A child starts with an empty context, or with
/// a copy of its parent's: see [`Spawn::context`](super::Spawn::context).
///
/// ```
/// use sandpool::runtime::{spawn, Context, Spawn};
///
/// #[derive(Clone, PartialEq, Debug)]
/// struct RequestId(u32);
///
/// spawn(|| {
///     Context::set(RequestId(7));
///     let child = Spawn::new().context(Context::copy()).start(|| Context::get::<RequestId>());
///     assert_eq!(child.join().unwrap(), Some(RequestId(7)));
///     assert_eq!(spawn(|| Context::get::<RequestId>()).join().unwrap(), None);
/// })
/// .join()
/// .unwrap();
/// ```
#[derive(Default)]
pub struct Context {
    copies: Vec<Box<dyn Copied>>,
}

impl Context {
    /// The value of type `T`, if there is one.
    pub fn get<T: Clone + Send + 'static>() -> Option<T> {
        Self::with(|value: Option<&T>| value.cloned())
    }

    /// Puts `value` in, and gives back the one of the same type that it replaces.
    pub fn set<T: Clone + Send + 'static>(value: T) -> Option<T> {
        // What is replaced is dropped outside of the borrow: its `Drop` may use the context.
        let old = local::with(|local| local.context.borrow_mut().insert(Rc::new(value)));
        old.and_then(unwrap_value)
    }

    /// The value of type `T`; made by `init` and kept if there is none yet.
    pub fn get_or_set_with<T: Clone + Send + 'static>(init: impl FnOnce() -> T) -> T {
        Self::get().unwrap_or_else(|| {
            let value = init();
            Self::set(value.clone());
            value
        })
    }

    /// Takes the value of type `T` out.
    pub fn remove<T: Clone + Send + 'static>() -> Option<T> {
        let old = local::with(|local| local.context.borrow_mut().remove(TypeId::of::<T>()));
        old.and_then(unwrap_value)
    }

    /// Runs `f` on the value of type `T` without copying it. `f` may yield, and may change the context: it
    /// goes on seeing the value it was given.
    pub fn with<T: Clone + Send + 'static, R>(f: impl FnOnce(Option<&T>) -> R) -> R {
        let value = local::with(|local| local.context.borrow().find(TypeId::of::<T>()));
        f(value.as_ref().and_then(|value| value.as_any().downcast_ref()))
    }

    /// A copy of every value of the current coroutine, for a child to start with.
    pub fn copy() -> Self {
        // Copied outside of the borrow: a `Clone` may use the context.
        let values = local::with(|local| local.context.borrow().values.clone());
        Self { copies: values.iter().map(|(_, value)| value.copied()).collect() }
    }

    pub(super) fn into_values(self) -> ContextValues {
        ContextValues { values: self.copies.into_iter().map(Copied::into_value).collect() }
    }
}

/// The values of one coroutine. A handful at most: a scan beats a hash.
#[derive(Default)]
pub(super) struct ContextValues {
    values: Vec<(TypeId, Rc<dyn Value>)>,
}

impl ContextValues {
    fn find(&self, key: TypeId) -> Option<Rc<dyn Value>> {
        self.values.iter().find(|(at, _)| *at == key).map(|(_, value)| Rc::clone(value))
    }

    fn insert<T: Clone + Send + 'static>(&mut self, value: Rc<T>) -> Option<Rc<dyn Value>> {
        let key = TypeId::of::<T>();
        match self.values.iter_mut().find(|(at, _)| *at == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.values.push((key, value));
                None
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes any value out, for its drop.
    pub(super) fn pop(&mut self) -> Option<impl Sized> {
        self.values.pop()
    }

    fn remove(&mut self, key: TypeId) -> Option<Rc<dyn Value>> {
        let at = self.values.iter().position(|(at, _)| *at == key)?;
        Some(self.values.swap_remove(at).1)
    }
}

/// A value in a coroutine's context. `Rc`, not `Arc`: it never leaves its coroutine, only copies of it do.
trait Value: Any {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Rc<Self>) -> Rc<dyn Any>;
    fn copied(&self) -> Box<dyn Copied>;
}

impl<T: Clone + Send + 'static> Value for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Rc<Self>) -> Rc<dyn Any> {
        self
    }

    fn copied(&self) -> Box<dyn Copied> {
        Box::new(self.clone())
    }
}

/// A copy on its way to a child.
trait Copied: Send {
    fn into_value(self: Box<Self>) -> (TypeId, Rc<dyn Value>);
}

impl<T: Clone + Send + 'static> Copied for T {
    fn into_value(self: Box<Self>) -> (TypeId, Rc<dyn Value>) {
        (TypeId::of::<T>(), Rc::new(*self))
    }
}

fn unwrap_value<T: Clone + 'static>(value: Rc<dyn Value>) -> Option<T> {
    value.into_any().downcast::<T>().ok().map(Rc::unwrap_or_clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn, time};

    #[derive(Clone, Debug, PartialEq)]
    struct Number(usize);

    #[test]
    fn each_coroutine_sees_its_own_values_across_yields_and_workers() {
        let coroutines: Vec<_> = (0..200)
            .map(|number| {
                spawn(move || {
                    Context::set(Number(number));
                    for _ in 0..20 {
                        time::yield_now();
                        assert_eq!(Context::get(), Some(Number(number)));
                    }
                    // A timer brings it back on any worker.
                    time::sleep(std::time::Duration::from_millis(1));
                    Context::get::<Number>()
                })
            })
            .collect();
        for (number, coroutine) in coroutines.into_iter().enumerate() {
            assert_eq!(coroutine.join().unwrap(), Some(Number(number)));
        }
    }

    #[test]
    fn values_are_set_replaced_and_removed_by_type() {
        spawn(|| {
            assert_eq!(Context::set(Number(1)), None);
            assert_eq!(Context::set("text"), None);
            assert_eq!(Context::set(Number(2)), Some(Number(1)));
            assert_eq!(Context::get_or_set_with(|| Number(3)), Number(2));
            assert_eq!(Context::remove::<Number>(), Some(Number(2)));
            assert_eq!(Context::get_or_set_with(|| Number(3)), Number(3));
            assert_eq!(Context::get(), Some("text"));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_value_may_be_changed_while_it_is_lent() {
        spawn(|| {
            Context::set(Number(1));
            Context::with(|lent: Option<&Number>| {
                Context::set(Number(2));
                assert_eq!(lent, Some(&Number(1)));
            });
            assert_eq!(Context::get(), Some(Number(2)));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_value_may_use_the_context_while_it_is_copied() {
        struct Counted;
        impl Clone for Counted {
            fn clone(&self) -> Self {
                let copies = Context::get().unwrap_or(Number(0)).0;
                Context::set(Number(copies + 1));
                Self
            }
        }
        spawn(|| {
            Context::set(Counted);
            Context::set("text");
            let copy = Context::copy();
            assert_eq!(Context::get(), Some(Number(1)));
            let child = crate::runtime::Spawn::new().context(copy);
            let seen = child.start(|| (Context::get::<Number>(), Context::get::<&str>())).join().unwrap();
            assert_eq!(seen, (None, Some("text")), "the copy is of what there was when it began");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_childs_copy_is_its_own() {
        spawn(|| {
            Context::set(Number(1));
            let child = crate::runtime::Spawn::new().context(Context::copy()).start(|| {
                let copied = Context::get::<Number>();
                Context::set(Number(9));
                copied
            });
            assert_eq!(child.join().unwrap(), Some(Number(1)));
            assert_eq!(Context::get(), Some(Number(1)));
        })
        .join()
        .unwrap();
    }
}
