"""MIDI to render: files of packages, songs on MMA's styles, scores of music21, and songs of our own making.

Every work comes as a function `make(target, rng) -> bool` that writes a MIDI file; `rng` also moves key, tempo and touch, so
that two renderings of a work differ as two performances do.
"""

import os
import re
import struct
import subprocess
import zlib
from pathlib import Path

import mido

import songs
import sources

STYLE_LIBRARY = Path("/usr/share/mma/lib")
LONGEST_S = 32
STRINGS, KEYS = [40, 40, 41, 42], [0, 0, 1, 6, 19, 19]
ENSEMBLES = [STRINGS, [48], [0], [0], [6], [19], [52], [73, 68, 71, 70], [56, 60, 57, 58], [24], [46], [48, 49, 60, 42], [40, 0]]


def works(unpacked, work):
    yield from _midi_files(unpacked)
    yield from _doom_music(unpacked)
    yield from _styles()
    yield from _groups()
    yield from _scores(work)
    for part, count in (("train", 50), ("development", 8)):
        for genre, make in (("electronic", songs.electronic_song), ("rock", songs.rock_song)):
            for index in range(count if genre == "electronic" else count // 2):
                yield part, genre, "composed", f"{genre}-{index}", _song(make), 1
    for index in range(40):
        yield "train", "electronic", "composed", f"slow-{index}", _song(songs.slow_song), 1
    for index in range(60):
        yield "train", "jazz", "composed", f"jazz-{index}", _song(songs.jazz_song), 1


# ---------------------------------------------------------------- performances

def perform(source, target, rng, loose=False):
    """Writes `source` (a MidiFile) as it is played this time: cut to length, transposed, another tempo and touch."""
    shift, speed, softer = rng.randint(-4, 4), rng.uniform(0.88, 1.12), rng.randint(0, 15)
    track, elapsed, waiting = mido.MidiTrack(), 0.0, 0.0
    for message in source:
        elapsed += message.time
        waiting += message.time
        if elapsed > LONGEST_S:
            break
        if message.is_meta or message.type == "sysex":
            continue
        change = {}
        if message.type in ("note_on", "note_off"):
            if message.channel != 9:
                change["note"] = min(127, max(0, message.note + shift))
            if message.type == "note_on" and message.velocity:
                touch = rng.randint(-22, 12) if loose else rng.randint(-4, 4)
                change["velocity"] = min(127, max(20, message.velocity - softer + touch))
        # 480 ticks a beat at the default 120 beats a minute
        jitter = rng.uniform(0, 0.012) if loose else 0.0
        ticks = max(0, int((waiting / speed + jitter) * 960))
        waiting = 0.0
        track.append(message.copy(time=ticks, **change))
    # a synthesiser waits for ever for a note that was cut off
    for channel in range(16):
        for control in (64, 123, 120):
            track.append(mido.Message("control_change", channel=channel, control=control, value=0, time=0))
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(target)
    return len(track) > 150


def _load(path):
    data = Path(path).read_bytes()
    # some files of Simutrans have a key signature with a mode that mido refuses: take those events out of its way
    data = re.sub(rb"\xff\x59\x02(..)", lambda found: b"\xff\x59\x02\x00\x00", data, flags=re.S)
    import io
    return mido.MidiFile(file=io.BytesIO(data), clip=True)


def _midi_files(unpacked):
    for part, genre, package, names in sources.MIDI_FILES:
        for name in names:
            for path in sorted(unpacked.glob(f"{package}/**/{name}*.mid")):
                def make(target, rng, path=path, genre=genre):
                    file = _load(path)
                    return heard_as(file) == genre and perform(file, target, rng)
                yield part, genre, package, path.stem, make, 2


def _doom_music(unpacked):
    # a song that two packages have is in the first's part only
    seen = set()
    for part, package, archives in sources.DOOM_MUSIC:
        for archive in archives:
            for path in unpacked.glob(f"{package}/**/{archive}"):
                data = path.read_bytes()
                count, table = struct.unpack("<ii", data[4:12])
                for index in range(count):
                    at, size, name = struct.unpack("<ii8s", data[table + 16 * index:table + 16 * index + 16])
                    song = data[at:at + size]
                    if name.startswith(b"D_") and song[:4] == b"MThd" and song not in seen:
                        seen.add(song)

                        def make(target, rng, song=song):
                            import io
                            file = mido.MidiFile(file=io.BytesIO(song), clip=True)
                            return heard_as(file) == "rock" and perform(file, target, rng)
                        yield part, "rock", package, f"{Path(archive).stem}-{name.rstrip(bytes(1)).decode()}", make, 1


DISTORTED, SYNTHETIC = {29, 30}, {38, 39, 50, 51, 62, 63, *range(80, 104)}


def heard_as(file):
    """What a MIDI song is by what plays in it: "rock", "electronic", "jazz", or None where nothing is plain.

    Rock: drums, and an overdriven or distorted guitar has one pitched note in eight or more. Electronic: drums or a sequence, and
    synthesisers have a third or more. Jazz: hardly any of these, and either its eighths swing, or an upright bass walks with drums.
    """
    program, notes, drums, distorted, synthetic, upright = {}, 0, 0, 0, 0, 0
    straight, swung = 0, 0
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "program_change":
                program[message.channel] = message.program
            elif message.type == "note_on" and message.velocity:
                phase = now % file.ticks_per_beat / file.ticks_per_beat
                straight += 0.46 < phase < 0.54
                swung += 0.6 < phase < 0.73
                if message.channel == 9:
                    drums += 1
                else:
                    notes += 1
                    voice = program.get(message.channel, 0)
                    distorted += voice in DISTORTED
                    synthetic += voice in SYNTHETIC
                    upright += voice == 32
    if not notes:
        return None
    beaten = drums >= (drums + notes) / 10
    if beaten and distorted >= notes / 8:
        return "rock"
    if synthetic >= notes / 3 and distorted < notes / 8:
        return "electronic"
    if distorted + synthetic < notes / 20 and (swung > 1.5 * straight or (beaten and upright >= notes / 20)):
        return "jazz"
    return None


# ---------------------------------------------------------------- MMA

SOLOISTS = {"jazz": [0, 0, 11, 26, 26, 56, 59, 65, 66, 66, 67, 71], "rock": [18, 27, 29, 29, 30, 30], "electronic": [80, 81, 81, 87, 90]}


def _styles():
    for part, genre, styles in sources.STYLES:
        for style in styles:
            text = (STYLE_LIBRARY / f"{style}.mma").read_text(errors="replace")
            grooves = [name for name in re.findall(r"(?im)^\s*defgroove\s+(\S+)", text)
                       if not re.search(r"(?i)(intro|end|fill)\w*$", name)][:6]
            if grooves:
                def make(target, rng, style=style, genre=genre, grooves=grooves):
                    return mma_song(target, rng, style, genre, grooves)
                yield part, genre, "mma", style, make, {"train": 3, "development": 3, "test": 2}[part]


def mma_song(target, rng, style, genre, grooves):
    groove, progression = rng.choice(grooves), list(rng.choice(songs.PROGRESSIONS[genre]))
    if rng.random() < 0.5:
        rng.shuffle(progression)
    tempo = {"jazz": rng.randint(90, 220), "rock": rng.randint(100, 170), "electronic": rng.randint(115, 145)}[genre]
    if re.search(r"slow|mellow|ballad|nite", style):
        tempo = rng.randint(65, 110)
    bars = [progression[index % len(progression)] for index in range(40)]
    file = accompaniment(target, style, groove, tempo, bars)
    if file is None:
        return False
    # a soloist or none, as in the pauses between solos
    if rng.random() < 0.75:
        file.tracks.append(_solo(rng, genre, file.ticks_per_beat, bars, swing=genre == "jazz"))

    if genre == "rock":
        for message in (message for track in file.tracks for message in track):
            if message.type == "program_change" and message.channel not in (9, SOLO_CHANNEL):
                if 24 <= message.program <= 31:
                    message.program = rng.choice([27, 29, 29, 30, 30])
                elif 32 <= message.program <= 39:
                    message.program = rng.choice([33, 34])
    return heard_as(file) == genre and perform(file, target, rng, loose=genre == "jazz")


def accompaniment(target, style, groove, tempo, bars):
    """What MMA plays to these chords, or None where it refuses."""
    # MMA plays at random, from a seed that this fixes for each song
    lines = [f"RndSeed {zlib.crc32(target.name.encode())}", f"Tempo {tempo}", f"Use {STYLE_LIBRARY / style}.mma",
             f"Groove {groove}", *(f"{n + 1} {c}" for n, c in enumerate(bars))]
    song = target.with_suffix(".mma")
    song.write_text("\n".join(lines) + "\n")
    subprocess.run(["mma", song, "-f", target], capture_output=True, timeout=60, check=False,
                   env={**os.environ, "HOME": str(target.parent)})
    song.unlink()
    return mido.MidiFile(target) if target.exists() else None


SOLO_CHANNEL = 10
def _solo(rng, genre, beat, bars, swing):
    """A walk over the chord's scale with rests, in eighths: swung where the genre swings."""
    track, note, pending = mido.MidiTrack(), rng.randint(62, 76), 0
    track.append(mido.Message("program_change", channel=SOLO_CHANNEL, program=rng.choice(SOLOISTS[genre]), time=0))
    busy = rng.uniform(0.4, 0.85)
    for chord in bars:
        root, minor = songs.root_of(chord), "m" in chord.replace("M", "")
        scale = {(root + step) % 12 for step in ([0, 2, 3, 5, 7, 9, 10] if minor else songs.SCALES[genre])}
        for eighth in range(8):
            length = beat // 2
            if swing:
                length = beat * 2 // 3 if eighth % 2 == 0 else beat - beat * 2 // 3
            if rng.random() < busy:
                note += rng.choice([-4, -2, -1, -1, 1, 1, 2, 4])
                note = min(86, max(56, note))
                while note % 12 not in scale:
                    note += rng.choice([-1, 1])
                sounding = int(length * rng.uniform(0.6, 0.98))
                velocity = rng.randint(70, 115)
                track.append(mido.Message("note_on", channel=SOLO_CHANNEL, note=note, velocity=velocity, time=pending))
                track.append(mido.Message("note_off", channel=SOLO_CHANNEL, note=note, time=sounding))
                pending = length - sounding
            else:
                pending += length
    return track


# ---------------------------------------------------------------- jazz groups

def _groups():
    for part, styles in sources.GROUPS:
        for style in styles:
            text = (STYLE_LIBRARY / f"{style}.mma").read_text(errors="replace")
            for groove in re.findall(r"(?im)^\s*defgroove\s+(\S+)", text):
                def make(target, rng, style=style, groove=groove):
                    return group_song(target, rng, style, groove)
                yield part, "jazz", "group", f"{style}-{groove}", make, 1


# in degrees of the bar's chord; none of these progressions is in the songs on MMA's styles
CHANGES = [["Bb", "G7", "Cm7", "F7", "Dm7", "G7", "Cm7", "F7", "Fm7", "Bb7", "Eb", "Ab7", "Dm7", "G7", "Cm7", "F7"],
           ["Cm7", "Cm7", "Cm7", "C7", "Fm7", "Fm7", "Cm7", "Cm7", "Ab7", "G7", "Cm7", "G7"],
           ["Am7", "D7", "G", "C", "Gbm7", "B7", "Em7", "Em7"], ["Dm7"] * 8 + ["Ebm7"] * 4 + ["Dm7"] * 4,
           ["Bb7", "Eb7", "Bb7", "Bb7", "Eb7", "Eb7", "Bb7", "G7", "Cm7", "F7", "Bb7", "F7"],
           ["Eb", "Gb7", "B", "D7", "G", "Bb7", "Eb", "Bb7"], ["Gm7", "C7", "F", "F", "Fm7", "Bb7", "Eb", "Eb"],
           ["Em7", "A7", "Dm7", "G7", "C", "F7", "Em7", "A7"]]


def group_song(target, rng, style, groove):
    """A trio or quartet on a drum groove: walking or Latin bass, comping, and a soloist who plays phrases."""
    latin = "bossa" in style
    tempo, beat_of = rng.randint(110, 170) if latin else rng.randint(75, 240), 0.5 if latin else 0.66
    changes = rng.choice(CHANGES)
    bars = [changes[index % len(changes)] for index in range(48)]
    file = accompaniment(target, style, groove, tempo, bars)
    if file is None:
        return False
    file.tracks = [track for track in file.tracks if not any(hasattr(m, "channel") and m.channel != 9 for m in track)]
    notes = songs.Notes(tempo)
    notes.program(0, 32)
    notes.program(1, rng.choice([0, 0, 0, 0, 26, 26, 4, 11, 16, 24] if not latin else [24, 24, 0, 26, 4]))
    notes.program(2, rng.choice([0, 0, 11, 26, 26, 56, 57, 59, 64, 65, 66, 66, 67, 71, 73]))
    notes.control(1, 10, rng.randint(20, 60))
    notes.control(2, 10, rng.randint(64, 110))
    comping = [rng.choice([(0, 6.66), (6.66,), (2.66, 10.66), (0,), (4, 12), (2.66,), (6.66, 14.66), ()]) for _ in range(4)]
    soloing, at_bar, place = rng.random() < 0.85, 0, 70

    def swung(eighth):
        return 4 * (eighth // 2) + (4 * beat_of if eighth % 2 else 0)

    for number, chord in enumerate(bars):
        tones, following = songs.chord_tones(chord), songs.chord_tones(bars[min(number + 1, 47)])
        start = 16 * number
        if latin:
            line = [(0, tones[0], 5.5), (6, tones[2], 2), (8, tones[2], 5.5), (14, tones[0], 2)]
        else:
            # three notes of the chord or between, then one that leads to the next root
            middle = [rng.choice(tones[1:]), rng.choice(tones + [tones[0] + 2, tones[0] + 9])]
            line = [(4 * beat, pitch, 3.6) for beat, pitch in enumerate([tones[0], *middle, following[0] + rng.choice([-1, 1, 1, 7])])]
        for at, pitch, length in line:
            notes.note(start + at, length, 0, 28 + (pitch - 28) % 12 + rng.choice([0, 0, 12]) * (pitch % 12 < 4), rng.randint(80, 105))
        for at in comping[number % 4] if not latin else rng.choice([(0, 6, 10), (0, 4, 10), (2, 6, 12)]):
            for pitch in (*tones[1:], tones[0] + 14):
                notes.note(start + at, rng.choice([1.5, 3, 6]), 1, 52 + (pitch - 52) % 12 + 12 * (pitch > 11), rng.randint(50, 85))
        if not soloing or number < at_bar:
            continue
        # a phrase: arpeggio up or scale down, with an approach from a semitone below, then breath
        eighth = rng.randrange(3)
        scale = sorted({tone % 12 for tone in (*tones, tones[0] + 2, tones[0] + 5, tones[0] + 9)})
        direction = rng.choice([1, -1])
        for _ in range(rng.randint(5, 14)):
            beat_chord = songs.chord_tones(bars[min(number + eighth // 8, 47)])
            if eighth % 2 == 0 and rng.random() < 0.7:
                goal = [pitch for pitch in range(56, 88) if pitch % 12 in {tone % 12 for tone in beat_chord}]
                ahead = [pitch for pitch in goal if 0 < (pitch - place) * direction < 7]
                place = rng.choice(ahead) if ahead else min(goal, key=lambda pitch: abs(pitch - place))
            else:
                place += direction * rng.choice([1, 1, 2])
                if place % 12 not in scale and rng.random() < 0.6:
                    place += direction
            if not 58 <= place <= 84 or rng.random() < 0.15:
                direction, place = -direction, min(84, max(58, place))
            held = rng.choice([1, 1, 1, 1, 2, 3])
            notes.note(start + swung(eighth), 1.9 * held, 2, place, rng.randint(70, 112) + 6 * (eighth % 2))
            eighth += held
        at_bar = number + (eighth + rng.randint(2, 9)) // 8
    played = notes.file()
    for track in played.tracks:
        for message in track:
            message.time = round(message.time * file.ticks_per_beat / played.ticks_per_beat)
    file.tracks.extend(played.tracks)
    return heard_as(file) == "jazz" and perform(file, target, rng, loose=True)


# ---------------------------------------------------------------- music21

def _scores(work):
    for part, composers, limit in sources.COMPOSERS:
        for composer in composers:
            for index in range(limit):
                def make(target, rng, composer=composer, index=index):
                    return score(target, rng, composer, index, work)
                yield part, "classical", "music21", f"{composer}-{index}", make, 1


def score(target, rng, composer, index, work):
    from music21 import corpus
    paths = sorted(path for path in corpus.getCorePaths() if f"/corpus/{composer}/" in str(path))
    # spread over all that there is of this composer
    limit = next(limit for _, names, limit in sources.COMPOSERS if composer in names)
    step = max(1, len(paths) // limit)
    if index * step >= len(paths):
        return False
    cached = work / "scores" / f"{composer}-{index}.mid"
    if not cached.exists():
        cached.parent.mkdir(exist_ok=True)
        parsed = corpus.parse(paths[index * step])
        if not hasattr(parsed, "parts"):
            parsed = parsed.scores[0]
        parsed.write("midi", cached)
    ensemble = rng.choice(ENSEMBLES)
    file = mido.MidiFile(cached, clip=True)
    # one channel a part, and that part's instrument, whatever the score says
    for number, track in enumerate(file.tracks):
        channel = (number % 15) + ((number % 15) >= 9)
        for message in track:
            if hasattr(message, "channel"):
                message.channel = channel
        program = ensemble[max(0, number - 1) % len(ensemble)]
        track[:] = [message for message in track if message.type != "program_change"]
        track.insert(0, mido.Message("program_change", channel=channel, program=program, time=0))
    return perform(file, target, rng, loose=True)


# ---------------------------------------------------------------- songs of our own making

def _song(make):
    def written(target, rng):
        return perform(make(rng), target, rng, loose=make is songs.jazz_song)
    return written
