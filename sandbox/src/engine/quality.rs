//! How much is done for quality's sake.

/// Which stages may run, and how hard the encoder tries. A stage runs if its quality has it *and* it is switched on.
///
/// | | `battery_saver` | `balanced` | `high_quality` |
/// | --- | --- | --- | --- |
/// | voice clarity, noise gate, compressor, equaliser, limiter | yes | yes | yes |
/// | spatial, voice activity, metering, genre | no | yes | yes |
/// | de-noise | no | no | yes |
/// | encoder's complexity, unless it is set | 2 | 5 | 10 |
///
/// `bench/benches/engine.rs` measures what each costs a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quality {
    /// What changes the sound most, at the least cost.
    BatterySaver,
    /// All but the most costly.
    #[default]
    Balanced,
    /// Everything.
    HighQuality,
}

impl Quality {
    /// Every quality, with the name that clients write.
    pub const NAMES: [(&'static str, Quality); 3] = [
        ("battery_saver", Quality::BatterySaver),
        ("balanced", Quality::Balanced),
        ("high_quality", Quality::HighQuality),
    ];

    /// The encoder's complexity, 0 to 10, where none is set.
    pub fn complexity(self) -> u8 {
        match self {
            Quality::BatterySaver => 2,
            Quality::Balanced => 5,
            Quality::HighQuality => 10,
        }
    }

    pub(super) fn has_denoise(self) -> bool {
        self == Quality::HighQuality
    }

    pub(super) fn has_spatial(self) -> bool {
        self != Quality::BatterySaver
    }

    pub(super) fn has_analysis(self) -> bool {
        self != Quality::BatterySaver
    }
}
