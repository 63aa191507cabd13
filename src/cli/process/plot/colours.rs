//! Colours for levels: from almost black through violet and red to light yellow, ever brighter, so that the order also
//! holds in grey.

/// At equal distances from the lowest to the highest.
const ANCHORS: [[u8; 3]; 7] = [
    [9, 8, 28],
    [48, 20, 88],
    [104, 28, 122],
    [166, 42, 112],
    [220, 78, 76],
    [248, 150, 50],
    [253, 240, 170],
];

/// 256 colours between the anchors.
pub(super) fn palette() -> [[u8; 3]; 256] {
    std::array::from_fn(|level| {
        let place = level as f64 / 255.0 * (ANCHORS.len() - 1) as f64;
        let lower = (place as usize).min(ANCHORS.len() - 2);
        let share = place - lower as f64;
        std::array::from_fn(|part| {
            let [from, to] = [ANCHORS[lower][part], ANCHORS[lower + 1][part]].map(f64::from);
            (from + share * (to - from)).round() as u8
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_level_is_brighter() {
        // Luma after ITU-R BT.601.
        let luma = |[r, g, b]: [u8; 3]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        let palette = palette();
        assert!(palette.windows(2).all(|pair| luma(pair[1]) > luma(pair[0]) - 0.5));
        assert_eq!((palette[0], palette[255]), (ANCHORS[0], ANCHORS[6]));
    }
}
