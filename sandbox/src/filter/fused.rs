//! Loops that feed back, in the processor's best instructions.
//!
//! A filter's output waits for its last output, so a multiplication and an addition in one make the whole loop shorter, not
//! only smaller. Processors with wide vectors have that; elsewhere it would be a call of a function, many times slower.

use pulp::{Arch, Simd, WithSimd};

/// Work that is compiled twice: with [`multiply_add`] as one instruction, and as two.
pub(crate) trait Fusable {
    fn run<const FUSED: bool>(self);
}

/// Does `work` in the way that this processor does it best. The last bits of what comes out depend on the processor.
#[inline(always)]
pub(crate) fn run_fused(work: impl Fusable) {
    Arch::new().dispatch(Dispatched(work));
}

/// `a * b + c`
#[inline(always)]
pub(crate) fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

struct Dispatched<F>(F);

impl<F: Fusable> WithSimd for Dispatched<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if S::F64_LANES > 1 {
            self.0.run::<true>();
        } else {
            self.0.run::<false>();
        }
    }
}
