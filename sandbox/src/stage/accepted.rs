//! Parameters held within their table's ranges.

use super::Described;

/// `parameters` with each number moved to the nearest that its range accepts; what is no number, to the default.
/// Checking and naming what is wrong happens where a client's words come in; here nothing must break whatever comes.
pub(crate) fn accepted<P: Described>(parameters: &P) -> P {
    let mut accepted = *parameters;
    for parameter in P::PARAMETERS {
        let value = (parameter.get)(parameters);
        let value = if value.is_nan() { (parameter.get)(&P::default()) } else { value };
        (parameter.set)(&mut accepted, value.clamp(*parameter.range.start(), *parameter.range.end()));
    }
    accepted
}
