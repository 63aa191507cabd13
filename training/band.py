"""A rock band from MIDI, nearer to a recorded one than a font's distorted guitar is.

The guitars are rendered clean and go through an overdriven amplifier and a loudspeaker in numpy, the drums are those of a recorded
kit in half of the songs, and the whole goes through a bus compressor. The notes stay as they are.
"""

import mido
import numpy
from scipy import signal
from scipy.io import wavfile

DISTORTED = {29, 30}


def split(midi, stem):
    """The guitars, the drums and the rest of a performance, each in a file of its own: `stem` plus g, d and r."""
    program, tracks = {}, {"g": mido.MidiTrack(), "d": mido.MidiTrack(), "r": mido.MidiTrack()}
    waiting = dict.fromkeys(tracks, 0)
    source = mido.MidiFile(midi)
    for message in mido.merge_tracks(source.tracks):
        for name in waiting:
            waiting[name] += message.time
        if message.is_meta:
            for name, track in tracks.items():
                track.append(message.copy(time=waiting[name]))
                waiting[name] = 0
            continue
        if message.type == "program_change":
            program[message.channel] = message.program
        channel = getattr(message, "channel", 0)
        name = "d" if channel == 9 else "g" if program.get(channel) in DISTORTED else "r"
        if message.type == "program_change" and name == "g":
            message = message.copy(program=(26, 27, 28, 25)[channel % 4 if channel % 4 != 3 else 1])
        tracks[name].append(message.copy(time=waiting[name]))
        waiting[name] = 0
    for name, track in tracks.items():
        file = mido.MidiFile(ticks_per_beat=source.ticks_per_beat)
        file.tracks.append(track)
        file.save(f"{stem}{name}.mid")


def _read(path):
    rate, samples = wavfile.read(path)
    return rate, samples.astype(numpy.float64).mean(axis=1)


def _levelled(samples):
    return samples / (numpy.sqrt(numpy.mean(samples ** 2)) + 1e-9)


def amplified(samples, rate, rng):
    """Overdrive and a guitar cabinet: filtered before, bent twice, filtered after."""
    drive = 10 ** (rng.uniform(6, 38) / 20)
    low_cut = signal.butter(2, rng.uniform(70, 250), "high", fs=rate, output="sos")
    pushed = signal.resample_poly(signal.sosfilt(low_cut, _levelled(samples)), 2, 1)
    bent = numpy.tanh(pushed * drive + rng.uniform(0, 0.4))
    bent = numpy.tanh(signal.sosfilt(signal.butter(1, 30, "high", fs=2 * rate, output="sos"), bent) * rng.uniform(1, 4))
    tone = signal.resample_poly(bent, 1, 2)
    cabinet = [signal.butter(rng.choice([2, 3, 4]), rng.uniform(3_000, 7_000), fs=rate, output="sos"),
               signal.butter(1, rng.uniform(70, 130), "high", fs=rate, output="sos")]
    for stage in cabinet:
        tone = signal.sosfilt(stage, tone)
    presence, scoop = signal.iirpeak(rng.uniform(1_800, 3_500), rng.uniform(0.7, 2), fs=rate), signal.iirnotch(
        rng.uniform(350, 900), rng.uniform(0.5, 1.5), fs=rate)
    tone = tone + rng.uniform(0, 1.5) * signal.lfilter(*presence, tone)
    if rng.random() < 0.5:
        tone = (tone + signal.lfilter(*scoop, tone)) / 2
    # the same part played twice: a few milliseconds apart
    if rng.random() < 0.6:
        index = numpy.arange(len(tone))
        later = index - rate * (0.012 + 0.006 * numpy.sin(2 * numpy.pi * index / rate * rng.uniform(0.1, 0.5)))
        tone = tone + 0.8 * numpy.interp(later, index, tone)
    return tone


def mixed(stems, rng):
    """Guitars, drums and the rest as one band, compressed: (rate, samples)."""
    rate, length, mix = None, max(len(_read(path)[1]) for path in stems.values()), 0.0
    for name, path in stems.items():
        rate, samples = _read(path)
        samples = numpy.pad(samples, (0, length - len(samples)))
        if not numpy.abs(samples).max() > 1:
            continue
        if name == "g":
            samples = amplified(samples, rate, rng)
        gain_db = {"g": rng.uniform(-3, 3), "d": rng.uniform(-5, 2), "r": rng.uniform(-7, 0)}[name]
        mix = mix + _levelled(samples) * 10 ** (gain_db / 20)
    mix = _levelled(mix)
    # bus compression: the gain follows the loudness of the last tenth of a second
    size = rate // 10
    loudness = numpy.sqrt(signal.fftconvolve(mix ** 2, numpy.ones(size) / size, "same").clip(1e-6))
    mix = mix / loudness ** rng.uniform(0, 0.7)
    mix = numpy.tanh(_levelled(mix) * rng.uniform(0.3, 1.2))
    return rate, (mix / numpy.abs(mix).max() * rng.uniform(0.5, 0.98) * 32_767).astype(numpy.int16)
