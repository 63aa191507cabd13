"""Slow electronic music of our own making: pads, drones, arpeggios, sparse beats, synthesised to samples.

MIDI and a font give the same few pads again and again, so these are synthesised here: each song draws its own oscillators,
filters, envelopes, scale, tempo, density and effects. Nothing here hears or imitates a recording.
"""

import numpy
from scipy import signal

RATE = 48_000
LENGTH_S = 34
TABLE = 8_192
SCALES = [[0, 2, 3, 5, 7, 8, 10], [0, 2, 3, 5, 7, 9, 10], [0, 2, 4, 6, 7, 9, 11], [0, 2, 4, 5, 7, 9, 10], [0, 3, 5, 7, 10],
          [0, 2, 4, 7, 9], [0, 1, 3, 5, 7, 8, 10], [0, 2, 4, 6, 8, 10]]


def ambient_song(rng):
    """One song as mono samples at 48 kHz; `rng` (random.Random) decides everything."""
    noise = numpy.random.default_rng(rng.getrandbits(32))
    length = LENGTH_S * RATE
    song = _Song(rng, noise, length)
    layers = {"pad": 0.8, "drone": 0.45, "arpeggio": 0.5, "bells": 0.3, "lead": 0.25, "air": 0.4, "beat": 0.35, "bass": 0.4}
    chosen = [name for name, chance in layers.items() if rng.random() < chance]
    if not {"pad", "drone", "arpeggio"} & set(chosen):
        chosen.append(rng.choice(["pad", "drone", "arpeggio"]))
    mix, beats = numpy.zeros(length), numpy.zeros(length)
    for name in chosen:
        layer = _levelled(getattr(song, name)())
        loudness = 10 ** (rng.uniform(-9, 0) / 20) * (0.25 if name == "air" else 1.0)
        if name == "beat":
            beats += layer * loudness
        else:
            mix += layer * loudness
    if rng.random() < 0.6:
        mix = _swept(mix, rng, noise)
    if rng.random() < 0.35:
        mix = _chorus(mix, rng)
    if rng.random() < 0.45:
        mix = _echo(mix, song.beat_s * rng.choice([0.5, 0.75, 1.0, 1.5]), rng.uniform(0.3, 0.65))
    mix = _reverb(mix, rng, noise, rng.uniform(0.6, 7.0), rng.uniform(0.1, 0.8))
    if "beat" in chosen:
        if rng.random() < 0.4:
            mix *= song.pumping()
        mix = _levelled(mix) + _reverb(beats, rng, noise, rng.uniform(0.2, 1.5), rng.uniform(0.0, 0.3)) * rng.uniform(0.5, 1.5)
    if rng.random() < 0.25:
        mix = signal.sosfilt(signal.butter(2, rng.uniform(2_000, 9_000), fs=RATE, output="sos"), mix)
    mix = signal.sosfilt(signal.butter(1, 25, "high", fs=RATE, output="sos"), mix)
    mix = numpy.tanh(_levelled(mix) * rng.choice([0.3, 0.5, 0.8, 1.5]))
    return (mix / numpy.abs(mix).max() * rng.uniform(0.25, 0.95)).astype(numpy.float32)


class _Song:
    """What the layers of a song have in common: key, scale, tempo and chords."""

    def __init__(self, rng, noise, length):
        self.rng, self.noise, self.length = rng, noise, length
        self.times = numpy.arange(length) / RATE
        self.beat_s = 60 / rng.uniform(50, 120)
        self.scale, self.key = rng.choice(SCALES), rng.randint(36, 47)
        self.bar_s = self.beat_s * rng.choice([4, 4, 8, 16])
        degrees = [rng.randrange(len(self.scale)) for _ in range(rng.choice([1, 2, 2, 3, 4, 4]))]
        self.degrees = [degrees[index % len(degrees)] for index in range(int(LENGTH_S / self.bar_s) + 1)]

    def pitch(self, degree):
        octave, step = divmod(degree, len(self.scale))
        return self.key + 12 * octave + self.scale[step]

    def add(self, into, sound, at_s):
        begin = int(at_s * RATE)
        if 0 <= begin < len(into):
            sound = sound[:len(into) - begin]
            into[begin:begin + len(sound)] += sound

    # ---------------------------------------------------------- layers

    def pad(self):
        rng, out = self.rng, numpy.zeros(self.length)
        voice = _voice(rng)
        attack, release = rng.uniform(0.2, 4.0), rng.uniform(0.5, 5.0)
        steps = rng.choice([(0, 2, 4), (0, 4, 8), (0, 2, 4, 6), (0, 4), (0, 4, 7, 9)])
        octave = rng.choice([0, 7, 7])
        for index, degree in enumerate(self.degrees):
            for step in steps:
                sound = voice(_hz(self.pitch(degree + step) + octave * 12 // 7), self.bar_s + release, rng, self.noise)
                self.add(out, sound * _slow_envelope(len(sound), attack, release), index * self.bar_s)
        return out

    def drone(self):
        rng = self.rng
        root, out = _hz(self.key - rng.choice([0, 0, 12])), numpy.zeros(self.length)
        for ratio in rng.sample([1, 1.5, 2, 3, 4, 0.5], rng.randint(2, 4)):
            voice = _voice(rng)
            swell = 0.6 + 0.4 * numpy.sin(2 * numpy.pi * self.times / rng.uniform(5, 30) + rng.uniform(0, 6))
            out += voice(root * ratio, LENGTH_S, rng, self.noise)[:self.length] * swell / ratio ** 0.5
        return out

    def arpeggio(self):
        rng, out = self.rng, numpy.zeros(self.length)
        voice, step_s = _voice(rng), self.beat_s * rng.choice([0.25, 0.5, 0.5, 1.0])
        pattern = [rng.choice([0, 2, 4, 7, 9, 11, None]) for _ in range(rng.choice([4, 6, 8, 8, 16]))]
        decay, held = rng.uniform(0.08, 1.2), rng.uniform(0.5, 2.5)
        octave = rng.choice([12, 12, 24])
        for index in range(int(LENGTH_S / step_s)):
            degree = pattern[index % len(pattern)]
            if degree is not None and rng.random() < 0.92:
                root = self.degrees[int(index * step_s / self.bar_s) % len(self.degrees)]
                sound = voice(_hz(self.pitch(root + degree) + octave), min(held, 5 * decay), rng, self.noise)
                self.add(out, sound * _pluck(len(sound), decay) * rng.uniform(0.6, 1.0), index * step_s)
        return out

    def bells(self):
        """Sparse tones of two-operator FM, somewhere between."""
        rng, out, at = self.rng, numpy.zeros(self.length), 0.0
        ratio, index = rng.choice([1.0, 1.4, 2.0, 3.5, 7.0, 5.1]), rng.uniform(0.5, 5)
        while at < LENGTH_S:
            frequency, decay = _hz(self.pitch(rng.randrange(10)) + rng.choice([12, 24, 36])), rng.uniform(0.4, 3.0)
            times = numpy.arange(int(4 * decay * RATE)) / RATE
            modulator = index * numpy.exp(-times / (decay * 0.6)) * numpy.sin(2 * numpy.pi * frequency * ratio * times)
            self.add(out, numpy.sin(2 * numpy.pi * frequency * times + modulator) * _pluck(len(times), decay), at)
            at += self.beat_s * rng.choice([1, 2, 3, 4, 6])
        return out

    def lead(self):
        """A slow line with glides and vibrato."""
        rng = self.rng
        places, at = [], 0.0
        while at < LENGTH_S:
            places.append((at, self.pitch(rng.randrange(12)) + 24, rng.random() < 0.75))
            at += self.beat_s * rng.choice([1, 2, 2, 4])
        pitch = numpy.zeros(self.length)
        gate = numpy.zeros(self.length)
        for (begin, note, sounding), (end, _, _) in zip(places, places[1:] + [(LENGTH_S, 0, 0)]):
            span = slice(int(begin * RATE), int(end * RATE))
            pitch[span], gate[span] = note, sounding
        glide = max(1, int(rng.uniform(0.01, 0.3) * RATE))
        pitch = _smoothed(pitch, glide) + rng.uniform(0, 0.3) * numpy.sin(2 * numpy.pi * rng.uniform(3, 6.5) * self.times)
        phase = numpy.cumsum(_hz(pitch)) / RATE
        wave = rng.choice([lambda p: numpy.sin(2 * numpy.pi * p), lambda p: 2 * numpy.abs(2 * (p % 1) - 1) - 1,
                           lambda p: _dull(2 * (p % 1) - 1, rng.uniform(600, 3_000))])
        return wave(phase) * _smoothed(gate, int(rng.uniform(0.02, 0.3) * RATE))

    def air(self):
        """Wind, hiss or crackle that moves."""
        rng = self.rng
        kind = rng.choice(["wind", "hiss", "crackle", "sea"])
        white = self.noise.standard_normal(self.length)
        if kind == "crackle":
            return _dull((self.noise.random(self.length) < rng.uniform(2, 20) / RATE) * white, rng.uniform(1_500, 6_000))
        if kind == "hiss":
            return signal.sosfilt(signal.butter(1, rng.uniform(1_000, 5_000), "high", fs=RATE, output="sos"), white)
        swell = 0.5 + 0.5 * numpy.sin(2 * numpy.pi * self.times / rng.uniform(4, 15) + rng.uniform(0, 6))
        low, high = _dull(white, rng.uniform(200, 800)), _dull(white, rng.uniform(1_500, 6_000))
        return low * (1 - swell) + high * swell * (0.5 if kind == "wind" else swell)

    def bass(self):
        rng, out = self.rng, numpy.zeros(self.length)
        step_s, voice = self.beat_s * rng.choice([1, 2, 4]), _voice(rng, low=True)
        for index in range(int(LENGTH_S / step_s)):
            if rng.random() < 0.8:
                degree = self.degrees[int(index * step_s / self.bar_s) % len(self.degrees)]
                sound = voice(_hz(self.pitch(degree) - 12), step_s, rng, self.noise)
                self.add(out, sound * _pluck(len(sound), step_s * rng.uniform(0.3, 1.5)), index * step_s)
        return out

    def beat(self):
        """A few synthesised drums: sine kick, noise snare or clap, hats, clicks."""
        rng, out = self.rng, numpy.zeros(self.length)
        step_s = self.beat_s / 4
        chances = {"kick": [0.9] + [rng.choice([0, 0, 0.1, 0.5]) for _ in range(15)],
                   "snare": [rng.choice([0.9, 0.9, 0.0]) if step in (4, 12) else 0.03 for step in range(16)],
                   "hat": [rng.choice([0, 0.3, 0.9]) for _ in range(16)],
                   "click": [rng.choice([0, 0, 0.2]) for _ in range(16)]}
        if rng.random() < 0.3:
            chances["kick"] = [0.95 if step % 4 == 0 else 0.0 for step in range(16)]
        for name in rng.sample(list(chances), rng.randint(1, 3)):
            drum = _drum(name, rng, self.noise)
            level = {"kick": 1.0, "snare": 0.6, "hat": 0.25, "click": 0.3}[name]
            for index in range(int(LENGTH_S / step_s)):
                if rng.random() < chances[name][index % 16]:
                    self.add(out, drum * level * rng.uniform(0.7, 1.0), index * step_s)
        return out

    def pumping(self):
        """What a compressor does that hears the kick."""
        phase = (self.times % self.beat_s) / self.beat_s
        return 1 - self.rng.uniform(0.3, 0.9) * numpy.exp(-phase * 5)


# ---------------------------------------------------------------- sounds

def _hz(note):
    return 440 * 2 ** ((numpy.asarray(note) - 69) / 12)


def _voice(rng, low=False):
    """An instrument: a function from frequency and length to samples, with the timbre fixed now."""
    partials, tilt = rng.choice([8, 16, 30, 30]), rng.uniform(0.6, 2.2)
    odd = rng.random() < 0.3
    detuned = sorted(rng.uniform(-1, 1) * rng.choice([0, 0.05, 0.12, 0.25]) for _ in range(rng.choice([1, 2, 3, 5])))
    cutoff = rng.uniform(2, 14) if low else rng.uniform(1.5, 25)
    sweep_s, sweep = rng.uniform(2, 20), rng.uniform(0, 0.8)
    resonance, wobble = rng.choice([0, 0, 1.5, 3]), rng.choice([0, 0, 0.002, 0.006])
    breath = rng.choice([0, 0, 0, 0.02, 0.1])
    kind = rng.choice(["subtractive"] * 3 + ["fm", "sine", "glass"])

    def spectrum(edge):
        numbers = numpy.arange(1, partials + 1, 2 if odd else 1)
        return numbers, (1 / (1 + (numbers / edge) ** 4) + 0.3 * resonance * numpy.exp(-((numbers - edge) / 1.2) ** 2)) / numbers ** tilt

    def sound(frequency, seconds, rng, noise):
        times = numpy.arange(int(seconds * RATE)) / RATE
        out = numpy.zeros(len(times))
        offset = rng.uniform(0, 6)
        moved = 0.5 + 0.5 * numpy.sin(2 * numpy.pi * times / sweep_s + offset)
        drift = wobble / 5 * numpy.sin(2 * numpy.pi * 0.8 * times + offset) if wobble else 0.0
        if kind in ("subtractive", "glass"):
            closed, opened = (_table(*spectrum(cutoff * factor), frequency) for factor in (1 - sweep, 1 + sweep))
        for detune in detuned:
            base = frequency * 2 ** (detune / 12)
            turns = base * (times + drift) + rng.random()
            if kind == "fm":
                inner = numpy.sin(2 * numpy.pi * turns * (2 if odd else 1))
                out += numpy.sin(2 * numpy.pi * turns + cutoff / 6 * (1 - sweep + 2 * sweep * moved) * inner)
            elif kind == "sine":
                out += numpy.sin(2 * numpy.pi * turns) + 0.2 * sweep * numpy.sin(4 * numpy.pi * turns)
            else:
                place = ((turns % 1) * TABLE).astype(numpy.int32)
                out += closed[place] + (opened[place] - closed[place]) * moved
        if kind == "glass":
            # partials out of tune with the rest
            for partial in (2, 3, 4, 6):
                stretched = frequency * partial * (1 + 0.004 * partial ** 2)
                if stretched < 16_000:
                    out += 0.5 / partial * numpy.sin(2 * numpy.pi * stretched * times)
        if breath:
            hiss = noise.standard_normal(len(times))
            band = signal.butter(1, [min(8_000, frequency * 0.9), min(12_000, frequency * 3)], "band", fs=RATE, output="sos")
            out += breath * 4 * signal.sosfilt(band, hiss)
        return out / len(detuned) ** 0.5
    return sound


def _table(numbers, gains, frequency):
    """One period of a wave of these partials, without those that would alias."""
    waves = numpy.zeros(TABLE // 2 + 1, complex)
    kept = numbers * frequency < 16_000
    waves[numbers[kept]] = gains[kept] * TABLE / 2
    return numpy.fft.irfft(waves, TABLE)


def _slow_envelope(size, attack, release):
    envelope, rise, fall = numpy.ones(size), min(size // 2, int(attack * RATE)), min(size // 2, int(release * RATE))
    envelope[:rise] = numpy.sin(numpy.linspace(0, numpy.pi / 2, rise)) ** 2
    envelope[size - fall:] *= numpy.cos(numpy.linspace(0, numpy.pi / 2, fall)) ** 2
    return envelope


def _pluck(size, decay):
    envelope = numpy.exp(-numpy.arange(size) / RATE / decay)
    edge = min(size // 2, RATE // 250)
    envelope[:edge] *= numpy.linspace(0, 1, edge)
    envelope[size - edge:] *= numpy.linspace(1, 0, edge)
    return envelope


def _drum(name, rng, noise):
    times = numpy.arange(RATE // 2) / RATE
    white = noise.standard_normal(len(times))
    if name == "kick":
        sweep = rng.uniform(38, 60) + rng.uniform(60, 220) * numpy.exp(-times / rng.uniform(0.01, 0.05))
        return numpy.sin(2 * numpy.pi * numpy.cumsum(sweep) / RATE) * _pluck(len(times), rng.uniform(0.08, 0.4))
    low = {"snare": rng.uniform(500, 1_500), "hat": rng.uniform(4_000, 8_000), "click": rng.uniform(1_000, 4_000)}[name]
    decay = {"snare": rng.uniform(0.04, 0.15), "hat": rng.uniform(0.01, 0.08), "click": 0.006}[name]
    return signal.sosfilt(signal.butter(2, low, "high", fs=RATE, output="sos"), white) * _pluck(len(times), decay) * 0.5


# ---------------------------------------------------------------- effects

def _levelled(samples):
    return samples / (numpy.sqrt(numpy.mean(samples ** 2)) + 1e-9)


def _dull(samples, cutoff):
    return signal.sosfilt(signal.butter(2, cutoff, fs=RATE, output="sos"), samples)


def _smoothed(samples, size):
    return signal.fftconvolve(samples, numpy.ones(size) / size, "same")


def _swept(samples, rng, noise):
    """A low-pass whose corner moves: a cross-fade between three fixed ones."""
    corners = sorted(rng.uniform(250, 9_000) for _ in range(3))
    move = 1 + numpy.sin(2 * numpy.pi * numpy.arange(len(samples)) / RATE / rng.uniform(4, 40) + rng.uniform(0, 6))
    return sum(_dull(samples, corner) * numpy.clip(1 - numpy.abs(move - index), 0, 1) for index, corner in enumerate(corners))


def _chorus(samples, rng):
    index = numpy.arange(len(samples))
    delayed = index - (rng.uniform(8, 25) + rng.uniform(1, 6) * numpy.sin(2 * numpy.pi * index / RATE * rng.uniform(0.1, 1.5))) * RATE / 1000
    return samples + 0.8 * numpy.interp(delayed, index, samples)


def _echo(samples, delay_s, feedback):
    out, step = samples.copy(), int(delay_s * RATE)
    gain, at = feedback, step
    while gain > 0.03 and at < len(samples):
        out[at:] += samples[:-at] * gain
        gain, at = gain * feedback, at + step
    return out


def _reverb(samples, rng, noise, seconds, wet):
    """A dense decay that dulls: noise in two bands with different decays."""
    times = numpy.arange(int(seconds * 1.2 * RATE)) / RATE
    white = noise.standard_normal(len(times))
    dull = _dull(white, rng.uniform(600, 3_000))
    tail = dull * numpy.exp(-6.9 * times / seconds) * 3 + (white - dull) * numpy.exp(-6.9 * times / (seconds * rng.uniform(0.2, 0.6)))
    tail /= numpy.sqrt(numpy.sum(tail ** 2))
    return samples * (1 - wet) + wet * signal.fftconvolve(samples, tail)[:len(samples)]
