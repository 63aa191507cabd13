//! What a room costs for a block of 20 ms at 48 kHz: taking blocks in and mixing them.

use divan::counter::BytesCount;
use divan::Bencher;
use sandbox::mixer::{Mixer, MixerSettings, ParticipantId, SpeakerChoice};
use sandbox::Stream;

fn main() {
    divan::main();
}

const FRAMES: usize = 960;

/// A room in which the first `speakers` of `participants` have been heard for a while, and a block for each of them.
fn room(participants: usize, speakers: usize, channels: usize) -> (Mixer, Vec<ParticipantId>, Vec<Vec<f32>>) {
    let settings = MixerSettings {
        stream: Stream { sample_rate_hz: 48_000, channels },
        block_frames: FRAMES,
        capacity: participants,
        speakers: SpeakerChoice { max_speakers: speakers, ..SpeakerChoice::default() },
    };
    let mut mixer = Mixer::new(&settings).unwrap();
    let ids: Vec<_> = (0..participants).map(|_| mixer.add().unwrap()).collect();
    let block = |speaker: usize| {
        let sample = move |index: usize| 0.05 * (index as f32 * 0.01 * (speaker + 1) as f32).sin();
        (0..FRAMES * channels).map(sample).collect()
    };
    let blocks: Vec<Vec<f32>> = (0..speakers).map(block).collect();
    round(&mut mixer, &ids, &blocks);
    (mixer, ids, blocks)
}

fn round(mixer: &mut Mixer, ids: &[ParticipantId], blocks: &[Vec<f32>]) {
    for (id, block) in ids.iter().zip(blocks) {
        mixer.submit(*id, block).unwrap();
    }
    mixer.mix();
}

fn bench(bencher: Bencher<'_, '_>, participants: usize, speakers: usize, channels: usize) {
    let (mut mixer, ids, blocks) = room(participants, speakers, channels);
    // What has to be read and written at the very least: each block, each mix without one, and the mix of all.
    let bytes = (2 * speakers + 1) * FRAMES * channels * size_of::<f32>();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| round(&mut mixer, &ids, &blocks));
}

/// Participants and speakers.
#[divan::bench(args = [(10, 2), (100, 5), (1_000, 5), (64, 64)])]
fn mono(bencher: Bencher<'_, '_>, (participants, speakers): (usize, usize)) {
    bench(bencher, participants, speakers, 1);
}

#[divan::bench(args = [(100, 5)])]
fn stereo(bencher: Bencher<'_, '_>, (participants, speakers): (usize, usize)) {
    bench(bencher, participants, speakers, 2);
}

/// The floor: every block copied once, and every mix written once.
#[divan::bench]
fn mere_copies_for_5_speakers(bencher: Bencher<'_, '_>) {
    let (_, _, blocks) = room(5, 5, 1);
    let mut mixes = vec![0.0f32; 6 * FRAMES];
    bencher.counter(BytesCount::new(11 * FRAMES * size_of::<f32>())).bench_local(|| {
        for (index, mix) in mixes.chunks_exact_mut(FRAMES).enumerate() {
            mix.copy_from_slice(&blocks[index % 5]);
        }
        divan::black_box(&mut mixes);
    });
}
