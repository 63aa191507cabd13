//! The chain's parameters follow the genre.

use crate::genre::{Genre, GenreBlend, GenreDetector, GenreParameters};
use crate::{BandKind, Settings, Stream};

/// What the equaliser's bands become for a genre, where a session has left them off: the ends are shelves.
const BAND_KINDS: [BandKind; 5] =
    [BandKind::LowShelf, BandKind::Peak, BandKind::Peak, BandKind::Peak, BandKind::HighShelf];

/// Hears what genre the sound is, and moves the parameters there.
pub(super) struct Adaptation {
    detector: GenreDetector,
    blend: GenreBlend,
}

impl std::fmt::Debug for Adaptation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Adaptation")
            .field("genre", &self.genre())
            .field("blend", &self.blend)
            .finish()
    }
}

impl Adaptation {
    pub(super) fn new(stream: Stream) -> Adaptation {
        Adaptation { detector: GenreDetector::new(stream), blend: GenreBlend::new(stream.sample_rate_hz) }
    }

    pub(super) fn start(&mut self, stream: Stream) {
        self.detector.start(stream);
        self.blend.start(stream.sample_rate_hz);
    }

    /// Listens to a part of a slice.
    pub(super) fn hear(&mut self, block: &[f32]) {
        self.detector.process(block);
    }

    /// What it has heard of that part, for others: 16 kHz, mono.
    pub(super) fn heard(&self) -> &[f32] {
        self.detector.narrow_band()
    }

    /// At the end of a slice of so many sample frames: whether the parameters have moved.
    pub(super) fn advance(&mut self, frames: usize) -> bool {
        self.blend.aim(self.detector.genre());
        self.blend.advance(frames)
    }

    pub(super) fn genre(&self) -> Genre {
        self.detector.genre()
    }

    pub(super) fn confidence(&self) -> f32 {
        self.detector.confidence()
    }

    /// The session's settings as the genre wants them. Only what the session has switched on is moved, and bands of the
    /// equaliser that it has left off.
    pub(super) fn adapt(&self, settings: &Settings) -> Settings {
        let GenreParameters {
            equaliser_gain_db,
            compressor_threshold_db,
            compressor_ratio_factor,
            compressor_release_factor,
            gate_amount,
            clarity_amount,
            width_factor,
        } = self.blend.current();
        let mut adapted = *settings;
        adapted.intensity *= clarity_amount;
        adapted.noise_gate.parameters.range_db *= gate_amount;
        let compressor = &mut adapted.compressor.parameters;
        compressor.threshold_db += compressor_threshold_db;
        compressor.ratio = (compressor.ratio * compressor_ratio_factor).max(1.0);
        compressor.release_ms *= compressor_release_factor;
        adapted.spatial.parameters.width *= width_factor;
        let bands = &mut adapted.equaliser.parameters.bands;
        if !settings.equaliser.on {
            adapted.equaliser.on = true;
            bands.iter_mut().for_each(|band| band.kind = BandKind::Off);
        }
        for ((band, kind), gain_db) in bands.iter_mut().zip(BAND_KINDS).zip(equaliser_gain_db) {
            if band.kind == BandKind::Off {
                band.kind = kind;
                band.gain_db = gain_db;
            }
        }
        adapted
    }
}
