//! What low-pass filters are designed from: Kaiser's method, a sinc under his window (A. V. Oppenheim and R. W. Schafer,
//! "Discrete-Time Signal Processing", 3rd edition, section 7.5.3).

use std::f64::consts::PI;

/// sin(pi x) / (pi x)
pub(crate) fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// Kaiser's window, 1 at `x` = 0 and ending at +-1 (equation 7.72). A larger `beta` brings a deeper stop band and a wider
/// transition: 0.1102 (A - 8.7) for A dB above 50 (equation 7.75).
pub(crate) fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() > 1.0 {
        return 0.0;
    }
    bessel_i0(beta * (1.0 - x * x).sqrt()) / bessel_i0(beta)
}

/// The modified Bessel function of the first kind and order 0: the sum of ((x/2)^k / k!)^2 (Abramowitz and Stegun,
/// "Handbook of Mathematical Functions", 9.6.12).
fn bessel_i0(x: f64) -> f64 {
    let quarter_square = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= quarter_square / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bessel_function_has_its_tabulated_values() {
        // Abramowitz and Stegun, table 9.8 (there times e^-x).
        for (x, scaled) in
            [(0.0, 1.0), (1.0, 0.465_759_607_6), (5.0, 0.183_540_812_6), (8.0, 0.143_431_781_9)]
        {
            assert!((bessel_i0(x) * (-x).exp() - scaled).abs() < 1e-9, "I0({x}) is {}", bessel_i0(x));
        }
    }
}
