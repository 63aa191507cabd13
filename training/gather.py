#!/usr/bin/env python3
"""Gathers the material for the genre model from freely licensed packages: fetches, renders, cuts.

    gather.py WORK_DIRECTORY [PART/CLASS/SOURCE/WORK ...]

With patterns such as test/jazz/* only what fits one of them is made.
What comes from where, under which licence and for which part (training or test) is in `sources.py` and in README.md.
Nothing is downloaded but packages, by apt-get and pip; what is there already is kept, so an interrupted run goes on.
It leaves WORK/corpus/PART/CLASS/SOURCE__WORK__EXCERPT.wav: 48 kHz, mono, 16 bit.
"""

import fnmatch
import hashlib
import multiprocessing
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy
from scipy.io import wavfile

import ambient
import band
import compose
import sources

RATE = 48_000
TRAIN_EXCERPT_S, TEST_EXCERPT_S = 15, 8
# all there is to do: inherited by the processes of the pool, as functions can't be sent to them
JOBS = []


def seeded(*names):
    """A generator of its own for each work: the same material on every run, however many processes make it."""
    return random.Random(hashlib.sha256("/".join(map(str, names)).encode()).digest())


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, check=False, timeout=240, **options)


# ---------------------------------------------------------------- packages

def fetch(work):
    packages, unpacked = work / "deb", work / "src"
    packages.mkdir(parents=True, exist_ok=True)
    unpacked.mkdir(exist_ok=True)
    for package in sources.packages():
        if not list(packages.glob(f"{package}_*.deb")):
            print("fetching", package, flush=True)
            run("apt-get", "download", package, cwd=packages)
        archives = list(packages.glob(f"{package}_*.deb"))
        if archives and not (unpacked / package).exists():
            run("dpkg-deb", "-x", archives[0], unpacked / package)
            for inner in [*unpacked.glob(f"{package}/**/*.pk3"), *unpacked.glob(f"{package}/**/data.zip")]:
                with zipfile.ZipFile(inner) as archive:
                    wanted = [name for name in archive.namelist() if name.lower().endswith((".ogg", ".wav"))]
                    archive.extractall(unpacked / package / "unz", wanted)
            for inner in unpacked.glob(f"{package}/**/*music.rcc"):
                unpack_resources(inner.read_bytes(), unpacked / package / "unz")
    return unpacked


def unpack_resources(data, folder):
    """The sound files of a Qt resource file: a tree of nodes that point to names and data."""
    _, version, tree, contents, names = struct.unpack(">4s4I", data[:20])
    size = 22 if version >= 2 else 14
    waiting = [0]
    while waiting:
        at = tree + waiting.pop() * size
        name_at, flags = struct.unpack(">IH", data[at:at + 6])
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6:at + 14])
            waiting += range(first, first + count)
            continue
        length, = struct.unpack(">H", data[names + name_at:names + name_at + 2])
        name = data[names + name_at + 6:names + name_at + 6 + 2 * length].decode("utf-16-be")
        if name.endswith(".ogg"):
            begin = contents + struct.unpack(">I", data[at + 10:at + 14])[0]
            length, = struct.unpack(">I", data[begin:begin + 4])
            content = data[begin + 4:begin + 4 + length]
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(zlib.decompress(content[4:]) if flags & 1 else content)


# ---------------------------------------------------------------- sound in, excerpts out

def decode(path):
    """Any recording or tracker module as mono samples at 48 kHz."""
    extra = ["-f", "g722"] if path.suffix == ".g722" else []
    done = run("ffmpeg", "-v", "error", *extra, "-i", path, "-t", "150", "-ac", "1", "-ar", RATE, "-threads", "1", "-f", "f32le", "-")
    return numpy.frombuffer(done.stdout, dtype="<f4")


def loud_enough(samples):
    return len(samples) > 0 and numpy.sqrt(numpy.mean(samples.astype(numpy.float64) ** 2)) > 0.003


def write_excerpts(corpus, part, genre, source, name, samples, count, kept=None):
    """Writes the first `kept` (else all) of `count` excerpts spread over `samples`."""
    length = (TRAIN_EXCERPT_S if part == "train" else TEST_EXCERPT_S) * RATE
    if len(samples) < length:
        return 0
    folder = corpus / part / genre
    folder.mkdir(parents=True, exist_ok=True)
    clean = "".join(letter if letter.isalnum() else "-" for letter in name)
    written = 0
    for index in range(count)[:kept]:
        begin = int((len(samples) - length) * (index + 0.5) / count)
        excerpt = samples[begin:begin + length]
        if loud_enough(excerpt):
            excerpt = excerpt / max(1.0, float(numpy.abs(excerpt).max()))
            target = folder / f"{source}__{clean}__{index}.wav"
            wavfile.write(target, RATE, (excerpt * 32_767).astype(numpy.int16))
            written += 1
    return written


def done_already(corpus, part, genre, source, name):
    clean = "".join(letter if letter.isalnum() else "-" for letter in name)
    return any((corpus / part / genre).glob(f"{source}__{clean}__*.wav"))


# ---------------------------------------------------------------- the kinds of material

def recording(job):
    corpus, part, genre, source, path, count = job
    name = f"{path.parent.name}-{path.stem}"
    if not done_already(corpus, part, genre, source, name):
        samples, guitar = decode(path), path.with_name("guitar.ogg")
        # Frets on Fire keeps the player's guitar apart
        if path.stem == "song" and guitar.exists():
            samples = 0.7 * (samples + decode(guitar)[:len(samples)])
        write_excerpts(corpus, part, genre, source, name, samples, count)


def render_midi(midi, target, fonts, rng):
    """Renders with one of the fonts at random, in some room."""
    run("fluidsynth", "-ni", "-q", "-g", f"{rng.uniform(0.3, 0.7):.2f}", "-R", rng.choice(["0", "1", "1"]), "-C", "0",
        "-o", "synth.polyphony=96", "-o", "synth.dynamic-sample-loading=1", "-o", f"synth.reverb.room-size={rng.uniform(0.1, 0.9):.2f}",
        "-r", "32000", "-F", target, rng.choice(fonts), midi)


def render_band(midi, target, fonts, rng):
    """Renders guitars, drums and the rest apart, and mixes them as a rock band."""
    stem, font = midi.with_suffix(""), rng.choice(fonts)
    kits = sorted(midi.parent.parent.glob("src/avldrums.lv2-soundfont/**/*.sf2"))
    kit = rng.choice(kits) if kits and rng.random() < 0.6 else font
    band.split(midi, stem)
    stems = {}
    for name, bank in (("g", font), ("d", kit), ("r", font)):
        stems[name] = Path(f"{stem}{name}.wav")
        run("fluidsynth", "-ni", "-q", "-g", "0.4", "-R", "1" if name == "d" and rng.random() < 0.5 else "0", "-C", "0",
            "-o", "synth.dynamic-sample-loading=1", "-r", "32000", "-F", stems[name], bank, f"{stem}{name}.mid")
    wavfile.write(target, *band.mixed({name: path for name, path in stems.items() if path.exists()}, rng))
    for name, path in stems.items():
        path.unlink(missing_ok=True)
        Path(f"{stem}{name}.mid").unlink(missing_ok=True)


def midi_work(job):
    corpus, part, genre, source, name, make, fonts, variants = job
    for variant in range(variants):
        label = f"{name}-{variant}"
        if done_already(corpus, part, genre, source, label):
            continue
        rng = seeded(part, genre, source, label)
        scratch = corpus.parent / "midi" / f"{part}-{genre}-{source}-{label}".replace("/", "-").replace(" ", "-")
        scratch.parent.mkdir(exist_ok=True)
        midi, sound = Path(f"{scratch}.mid"), Path(f"{scratch}.wav")
        try:
            if not make(midi, rng):
                continue
            (render_band if name.endswith("-band") else render_midi)(midi, sound, fonts, rng)
            if sound.exists():
                # in the test, one of each work, so that recordings weigh as much
                write_excerpts(corpus, part, genre, source, label, decode(sound), 2, 1 if part == "test" else None)
        except Exception as problem:  # one broken file does not end the run
            print("left out:", source, name, problem, flush=True)
        sound.unlink(missing_ok=True)


def synthesised(job):
    corpus, part, genre, source, name = job
    if not done_already(corpus, part, genre, source, name):
        write_excerpts(corpus, part, genre, source, name, ambient.ambient_song(seeded(part, genre, name)), 2)


def room(rng, samples):
    """A small room: exponentially decaying noise behind the direct sound."""
    noise = numpy.random.default_rng(rng.getrandbits(32))
    reverb_s = rng.uniform(0.15, 0.6)
    times = numpy.arange(int(reverb_s * RATE)) / RATE
    response = noise.standard_normal(len(times)) * numpy.exp(-6.9 * times / reverb_s)
    response *= rng.uniform(0.2, 0.8) / numpy.sqrt(numpy.sum(response ** 2))
    response[0] = 1.0
    size = 1 << (len(samples) + len(response)).bit_length()
    wet = numpy.fft.irfft(numpy.fft.rfft(samples, size) * numpy.fft.rfft(response, size), size)
    return wet[:len(samples)].astype(numpy.float32)


def speech(job):
    """Utterances of one speaker, one after the other with pauses as in talk, in several acoustics."""
    corpus, part, source, speaker, paths, count = job
    if done_already(corpus, part, "speech", source, f"{speaker}-0"):
        return
    length = (TRAIN_EXCERPT_S if part == "train" else TEST_EXCERPT_S) * RATE
    rng = seeded(part, source, speaker)
    noise = numpy.random.default_rng(rng.getrandbits(32))
    rng.shuffle(paths)
    at = 0
    for index in range(count):
        pieces, total = [], 0
        while total < length and at < len(paths):
            samples = decode(paths[at])
            at += 1
            voiced = numpy.flatnonzero(numpy.abs(samples) > 0.01)
            if len(voiced) < RATE // 5:
                continue
            samples = samples[voiced[0]:voiced[-1]]
            pause = numpy.zeros(int(rng.choice([0.1, 0.2, 0.3, 0.5, 0.8]) * RATE), dtype=numpy.float32)
            pieces += [samples, pause]
            total += len(samples) + len(pause)
        if total < length:
            return
        said = numpy.concatenate(pieces)[:length]
        if rng.random() < 0.4:
            said = room(rng, said)
        level_db = rng.choice([-90, -60, -50, -40, -35])
        power = numpy.sqrt(numpy.mean(said.astype(numpy.float64) ** 2))
        hiss = noise.standard_normal(length)
        if rng.random() < 0.5:
            hiss = numpy.convolve(hiss, [0.25, 0.5, 0.25], "same")
        said = said + (hiss * power * 10 ** (level_db / 20)).astype(numpy.float32)
        write_excerpts(corpus, part, "speech", source, f"{speaker}-{index}", said, 1)


# ---------------------------------------------------------------- nothing of the five

def others(corpus, wanted):
    """Noise, tones and hum, each kind with its own ranges in training; the test has kinds of its own besides."""
    for part, indices in (("train", range(160)), ("development", range(80)), ("test", [*range(100, 124), *range(1_000, 1_018)])):
        if wanted and not any(fnmatch.fnmatch(f"{part}/unknown/synthetic", pattern) for pattern in wanted):
            continue
        for index in indices:
            if done_already(corpus, part, "unknown", "synthetic", f"{index}"):
                continue
            rng = seeded(part, "unknown", index)
            noise = numpy.random.default_rng(rng.getrandbits(32))
            length = TRAIN_EXCERPT_S * RATE
            times = numpy.arange(length) / RATE
            white = noise.standard_normal(length)
            spectrum, frequency = numpy.fft.rfft(white), numpy.fft.rfftfreq(length, 1 / RATE)
            kind = index % 8 if index < 1_000 else 8 + index % 6
            if kind >= 8:
                samples, label = unheard(kind - 8, rng, noise, times)
            elif kind == 0:
                samples, label = white, "white"
            elif kind == 1:
                slope = rng.choice([0.5, 1.0]) if part == "train" else 0.75
                samples, label = numpy.fft.irfft(spectrum / numpy.maximum(frequency, 20) ** slope), "coloured"
            elif kind == 2:
                centre = rng.uniform(200, 6_000)
                band = numpy.exp(-((frequency - centre) / (centre * rng.uniform(0.2, 0.8))) ** 2)
                samples, label = numpy.fft.irfft(spectrum * band), "band"
            elif kind == 3:
                tone = rng.uniform(80, 3_500)
                samples, label = numpy.sin(2 * numpy.pi * tone * times), "tone"
            elif kind == 4:
                hum = rng.choice([50, 60, 100, 120, 180]) if part == "train" else rng.choice([55, 70, 150])
                samples = sum(numpy.sin(2 * numpy.pi * hum * k * times + k) / k ** rng.uniform(0, 2) for k in range(1, 20))
                samples, label = samples + white * rng.uniform(0, 0.2), "hum"
            elif kind == 5:
                low, high, period = rng.uniform(100, 400), rng.uniform(1_000, 6_000), rng.uniform(2, 12)
                sweep = low * (high / low) ** (times % period / period)
                samples, label = numpy.sin(2 * numpy.pi * numpy.cumsum(sweep) / RATE), "sweep"
            elif kind == 6:
                tones = [rng.uniform(150, 3_000) for _ in range(rng.randint(2, 5))]
                samples, label = sum(numpy.sin(2 * numpy.pi * tone * times) for tone in tones), "tones"
            else:
                swell = numpy.convolve(noise.uniform(0, 1, length // 4_800 + 2), numpy.ones(8) / 8, "same")
                swell = numpy.interp(times, numpy.arange(len(swell)) * 0.1, swell)
                samples = numpy.fft.irfft(spectrum / numpy.maximum(frequency, 100) ** rng.uniform(0.3, 1.2)) * swell
                label = "wind"
            samples = samples[:length] / numpy.abs(samples).max() * rng.uniform(0.05, 0.8)
            write_excerpts(corpus, part, "unknown", "synthetic", f"{index}-{label}", samples.astype(numpy.float32), 1)


def unheard(kind, rng, noise, times):
    """Noises that only the test part has."""
    length, white = len(times), noise.standard_normal(len(times))
    if kind in (0, 5):
        # short decaying sounds, regular as a clock or irregular as drops
        samples, at = numpy.zeros(length), 0.0
        period, pitch = rng.uniform(0.3, 1.2), rng.uniform(700, 3_000)
        while at < times[-1] - 0.3:
            burst = numpy.arange(int(0.25 * RATE)) / RATE
            bent = pitch * (1 + 0.4 * burst / 0.25) if kind == 5 else pitch
            tone = numpy.sin(2 * numpy.pi * bent * burst) * numpy.exp(-burst / (0.03 if kind == 5 else 0.006))
            begin = int(at * RATE)
            samples[begin:begin + len(burst)] += tone * rng.uniform(0.5, 1)
            at += period if kind == 0 else rng.expovariate(1 / period)
        return samples + white * 0.003, "ticks" if kind == 0 else "drops"
    if kind == 1:
        tone, period = rng.uniform(400, 2_500), rng.uniform(0.3, 2)
        return numpy.sin(2 * numpy.pi * tone * times) * (times % period < period * rng.uniform(0.1, 0.5)), "beeps"
    if kind == 2:
        speed = rng.uniform(18, 60) * (1 + 0.2 * numpy.sin(2 * numpy.pi * times / rng.uniform(3, 10)))
        phase = numpy.cumsum(speed) / RATE
        return sum(numpy.sin(2 * numpy.pi * phase * n) / n ** 0.7 for n in range(1, 25)) + white * rng.uniform(0.1, 0.6), "engine"
    if kind == 3:
        return (noise.random(length) < rng.uniform(5, 60) / RATE) * white + 0.01 * white, "crackle"
    tone = rng.uniform(600, 900) * 2 ** (rng.uniform(0.3, 0.8) * numpy.sin(2 * numpy.pi * times / rng.uniform(0.4, 5)))
    return numpy.sign(numpy.sin(2 * numpy.pi * numpy.cumsum(tone) / RATE)) * 0.5, "siren"


def main():
    work = Path(sys.argv[1]).resolve()
    unpacked, corpus = fetch(work), work / "corpus"
    corpus.mkdir(exist_ok=True)
    fonts = {part: [str(path) for pattern in patterns for path in unpacked.glob(pattern)] + extra
             for part, (patterns, extra) in sources.FONTS.items()}
    jobs = JOBS
    for part, genre, source, patterns, count in sources.RECORDINGS:
        for pattern in patterns:
            found = sorted(unpacked.glob(f"{source}/**/{pattern}"))
            if not found:
                print("nothing for", source, pattern)
            jobs += [(recording, (corpus, part, genre, source, path, count)) for path in found]
    for part, source, speaker, pattern, count in sources.SPEECH:
        paths = sorted(path for path in unpacked.glob(f"{source}/{pattern}") if path.is_file())
        jobs.append((speech, (corpus, part, source, speaker, paths, count)))
    for part, genre, source, name, make, variants in compose.works(unpacked, work):
        jobs.append((midi_work, (corpus, part, genre, source, name, make, fonts[part], variants)))
        # in training, rock is also played by a band of recorded drums and amplified guitars
        if (part, genre) == ("train", "rock"):
            jobs.append((midi_work, (corpus, part, genre, source, f"{name}-band", make, fonts[part], 1)))
    for part, count in sources.AMBIENT_SONGS:
        jobs += [(synthesised, (corpus, part, "electronic", "composed", f"ambient-{index}")) for index in range(count)]
    wanted = sys.argv[2:]
    if wanted:
        jobs[:] = [job for job in jobs if any(fnmatch.fnmatch(label(job), pattern) for pattern in wanted)]
    random.Random(1).shuffle(jobs)
    jobs.sort(key=lambda job: job[1][1] != "test")
    with multiprocessing.get_context("fork").Pool(int(os.environ.get("JOBS", "2"))) as pool:
        for count, _ in enumerate(pool.imap_unordered(perform, range(len(JOBS)))):
            if count % 50 == 0:
                print(f"{count} of {len(jobs)}", flush=True)
    others(corpus, wanted)
    shutil.rmtree(work / "midi", ignore_errors=True)
    for folder in sorted(corpus.glob("*/*")):
        print(folder.relative_to(corpus), len(list(folder.glob("*.wav"))))


def label(job):
    """PART/CLASS/SOURCE/WORK of a job."""
    kind, arguments = job
    part, names = arguments[1], ("speech", *arguments[2:4]) if kind is speech else arguments[2:5]
    return "/".join([part, *(name.stem if isinstance(name, Path) else name for name in names)])


def perform(index):
    kind, arguments = JOBS[index]
    try:
        kind(arguments)
    except Exception as problem:
        print("failed:", kind.__name__, arguments[1:5], problem, flush=True)


if __name__ == "__main__":
    main()
