"""Songs of our own making, as MIDI: electronic, slow electronic, jazz and rock.

Each is a function of a `random.Random` that returns a MidiFile; what they share of harmony is here too.
"""

import mido

PROGRESSIONS = {
    "jazz": [["Dm7", "G7", "CM7", "A7b9"], ["CM7", "A7", "Dm7", "G7", "Em7", "A7", "Dm7", "G7"],
             ["F7", "Bb7", "F7", "F7", "Bb7", "Bb7", "F7", "D7b9", "Gm7", "C7", "F7", "C7"],
             ["Cm7", "Fm7", "Dm7b5", "G7b9", "Cm7", "EbM7", "AbM7", "G7"],
             ["FM7", "Em7b5", "A7", "Dm7", "Cm7", "F7", "Bb7", "Am7", "D7", "Gm7", "C7"],
             ["Ebm7", "Ab7", "DbM7", "DbM7", "Dm7", "G7", "CM7", "CM7"]],
    "rock": [["A", "D", "E", "D"], ["Em", "G", "D", "A"], ["Am", "F", "C", "G"], ["E", "G", "A", "E"], ["D", "C", "G", "D"],
             ["Em", "C", "G", "D"], ["A", "G", "D", "A", "F", "G", "A", "A"]],
    "electronic": [["Am", "F", "C", "G"], ["Cm", "Cm", "Ab", "Bb"], ["Fm", "Db", "Ab", "Eb"], ["Em", "Em", "D", "C"],
                   ["Dm", "Dm", "Dm", "C"], ["Gm", "Eb", "Bb", "F"]],
}
SCALES = {"jazz": [0, 2, 3, 4, 5, 7, 9, 10, 11], "rock": [0, 3, 5, 7, 10], "electronic": [0, 3, 5, 7, 10]}
ROOTS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def root_of(chord):
    return ROOTS[chord[0]] + (chord[1:2] == "#") - (chord[1:2] == "b")


def chord_tones(chord):
    """Pitches above C of root, third, fifth and seventh."""
    root, minor, seventh = root_of(chord) % 12, "m" in chord, "7" in chord
    return [root, root + (3 if minor else 4), root + 7, root + (10 if seventh else 11 if not minor else 9)]


class Notes:
    """Notes at absolute sixteenths, to be put in order at the end."""

    def __init__(self, tempo):
        self.events, self.tempo = [], tempo

    def program(self, channel, program):
        self.events.append((0.0, 0, mido.Message("program_change", channel=channel, program=program)))

    def control(self, channel, control, value):
        self.events.append((0.0, 0, mido.Message("control_change", channel=channel, control=control, value=value)))

    def note(self, at, length, channel, note, velocity):
        velocity = min(127, max(1, int(velocity)))
        self.events.append((at, 2, mido.Message("note_on", channel=channel, note=note, velocity=velocity)))
        self.events.append((at + length, 1, mido.Message("note_off", channel=channel, note=note)))

    def file(self):
        file, track, now = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack(), 0
        track.append(mido.MetaMessage("set_tempo", tempo=int(60e6 / self.tempo)))
        for at, _, message in sorted(self.events, key=lambda event: event[:2]):
            ticks = int(at * 120)
            track.append(message.copy(time=ticks - now))
            now = ticks
        file.tracks.append(track)
        return file


def electronic_song(rng):
    """Four on the floor or broken beats, synthetic bass, arpeggios and pads."""
    broken = rng.random() < 0.25
    notes = Notes(rng.randint(160, 176) if broken else rng.randint(118, 145))
    progression = rng.choice(PROGRESSIONS["electronic"])
    bass, lead, pad = rng.choice([38, 39, 38, 87]), rng.choice([80, 81, 81, 87, 84, 90]), rng.choice([88, 89, 90, 94, 95, 50, 51])
    for channel, program in ((0, bass), (1, lead), (2, pad)):
        notes.program(channel, program)
    notes.control(1, 91, 90)
    offbeat, arpeggio = rng.random() < 0.5, [rng.choice([0, 1, 2, 3, -1]) for _ in range(16)]
    parts = {name: rng.random() < chance for name, chance in (("lead", 0.8), ("pad", 0.7), ("hats", 0.85), ("clap", 0.75), ("bass", 0.9))}
    kit = rng.choice([0, 25, 24])
    notes.program(9, kit)
    for bar in range(36):
        at, chord = 16 * bar, progression[bar % len(progression)]
        root = 36 + root_of(chord) % 12
        triad = [0, 3 if "m" in chord else 4, 7, 12]
        for kick in ([0, 10] if broken else [0, 4, 8, 12]):
            notes.note(at + kick, 1, 9, 36, rng.randint(110, 125))
        if parts["clap"]:
            for clap in (4, 12):
                notes.note(at + clap, 1, 9, 38 if broken else 39, rng.randint(90, 115))
        if parts["hats"]:
            for step in range(0 if broken else 2, 16, 2 if broken else 4):
                notes.note(at + step, 1, 9, 42 if broken else 46, rng.randint(70, 100))
        for step in range(16):
            if parts["bass"] and (step % 4 == 2 if offbeat else step % 2 == 0 and not broken or step in (0, 3, 6, 10)):
                notes.note(at + step, 0.9, 0, root, 100)
            if parts["lead"] and arpeggio[step] >= 0:
                notes.note(at + step, 0.8, 1, root + 24 + triad[arpeggio[step]], rng.randint(70, 100))
        if parts["pad"]:
            for interval in triad[:3]:
                notes.note(at, 15.8, 2, root + 24 + interval, 70)
    return notes.file()


def slow_song(rng):
    """Pads and slow figures on a font's synthesisers, with few drums or none."""
    notes = Notes(rng.randint(48, 105))
    scale, key = rng.choice([[0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 6, 7, 9, 11], [0, 3, 5, 7, 10], [0, 2, 3, 5, 7, 9, 10]]), rng.randint(0, 11)
    degrees = [rng.randrange(7) for _ in range(rng.choice([1, 2, 4]))]
    programs = (rng.choice([88, 89, 90, 91, 92, 93, 94, 95, 50, 51]), rng.choice([80, 81, 83, 87, 88, 96, 97, 98, 99, 100]),
                rng.choice([38, 39, 89, 94]), rng.choice([95, 97, 99, 101, 102, 103]))
    for channel, program in enumerate(programs):
        notes.program(channel, program)
        notes.control(channel, 91, rng.randint(40, 127))
        notes.control(channel, 93, rng.choice([0, 30, 80]))
    bar = rng.choice([16, 16, 32])
    present = {name: rng.random() < chance for name, chance in (("pad", 0.85), ("figure", 0.65), ("bass", 0.5), ("far", 0.4))}
    if not present["figure"]:
        present["pad"] = True
    figure, step = [rng.choice([0, 2, 4, 7, 9, None]) for _ in range(rng.choice([4, 6, 8]))], rng.choice([1, 2, 2, 4])
    steps = rng.choice([(0, 2, 4), (0, 4), (0, 2, 4, 6), (0, 4, 8)])
    drums = rng.choice([None, None, None, (36,), (36, 42), (36, 39, 42)])

    def pitch(degree):
        octave, place = divmod(degree, len(scale))
        return key + 12 * octave + scale[place]

    if drums:
        notes.program(9, rng.choice([24, 25, 25]))
    for number in range(40):
        at, root = bar * number, degrees[number % len(degrees)]
        if present["pad"]:
            for degree in steps:
                notes.note(at, bar * 1.05, 0, 48 + pitch(root + degree), rng.randint(50, 85))
        if present["bass"]:
            notes.note(at, bar * rng.choice([0.4, 0.95]), 2, 36 + pitch(root), rng.randint(60, 95))
        if present["far"] and rng.random() < 0.5:
            notes.note(at + rng.randrange(bar), 12, 3, 60 + pitch(root + rng.choice([0, 2, 4, 6])), rng.randint(45, 80))
        for index in range(bar // step if present["figure"] else 0):
            degree = figure[index % len(figure)]
            if degree is not None:
                notes.note(at + index * step, step * rng.uniform(0.8, 2), 1, 60 + pitch(root + degree), rng.randint(45, 85))
        for beat in range(0, bar, 4):
            if drums and (beat % 16 == 0 or rng.random() < 0.3):
                notes.note(at + beat, 1, 9, rng.choice(drums), rng.randint(60, 100))
    return notes.file()


JAZZ_BANDS = {
    # melody programs, how many voices play it in harmony, comping programs, bass program, drums
    "stride": ((0, 3), 1, (0,), None, None), "ballad": ((65, 66, 59, 71, 0, 26), 1, (0, 0, 26, 4), 32, "brushes"),
    "big band": ((56, 57, 65, 66), 4, (0, 26), 32, "ride"), "organ": ((26, 66, 16, 65), 1, (16, 17), None, "shuffle"),
    "gypsy": ((24, 25, 40, 71), 1, (24, 25), 32, None), "cool": ((11, 73, 56, 71, 66), 2, (0, 26, 11), 32, "brushes"),
    "combo": ((56, 59, 65, 66, 57), 2, (0, 0, 26), 32, "ride"), "duo": ((0, 26, 11), 1, (26, 0), 32, None),
}


def jazz_song(rng):
    """A tune of four-bar ideas that come back, in swing, by one of several kinds of band."""
    kind = rng.choice(list(JAZZ_BANDS))
    melodies, voices, compings, bass, drums = JAZZ_BANDS[kind]
    notes = Notes(rng.randint(56, 92) if kind == "ballad" else rng.randint(100, 230))
    progression = list(rng.choice(PROGRESSIONS["jazz"]))
    if rng.random() < 0.4:
        progression = [chord for chord in progression for _ in range(2)]
    notes.program(0, rng.choice(melodies))
    notes.program(1, rng.choice(compings))
    notes.program(2, 32 if bass is None else bass)
    notes.program(9, 40 if drums == "brushes" else rng.choice([0, 0, 32]))
    swing = rng.uniform(0.6, 0.7)
    ideas = [[(eighth, rng.choice([-3, -2, -1, 0, 1, 2, 3, 4]), rng.choice([1, 1, 1, 2, 3])) for eighth in range(32)
              if rng.random() < density] for density in (rng.uniform(0.15, 0.6) for _ in range(3))]

    def place(eighth):
        return 4 * (eighth // 2) + (4 * swing if eighth % 2 else 0)

    def near(pitch, around):
        return around + (pitch - around + 6) % 12 - 6

    line, walked = rng.randint(64, 74), 40
    for number in range(36):
        at, chord = 16 * number, progression[number % len(progression)]
        tones = chord_tones(chord)
        if bass is not None:
            for beat in range(0, 4, 2 if kind == "ballad" else 1):
                goal = tones[0] if beat == 0 else rng.choice(tones) + rng.choice([0, 0, 0, 2, -1])
                walked = min(52, max(29, near(goal, walked)))
                notes.note(at + 4 * beat, 7 if kind == "ballad" else 3.7, 2, walked, rng.randint(75, 105))
        elif kind == "organ":
            for beat in range(4):
                notes.note(at + 4 * beat, 3.8, 1, near(rng.choice(tones), 41), rng.randint(70, 95))
        if kind == "stride":
            for beat in range(4):
                for pitch in ([near(tones[0], 36), near(tones[0], 36) + 12] if beat % 2 == 0 else [near(tone, 56) for tone in tones[1:]]):
                    notes.note(at + 4 * beat, 2, 1, pitch, rng.randint(65, 95))
        elif kind == "gypsy":
            for beat in range(4):
                for tone in tones:
                    notes.note(at + 4 * beat, 1.2 if beat % 2 else 2.5, 1, near(tone, 55), rng.randint(70, 100) + 8 * (beat % 2))
        else:
            for eighth in rng.choice([(0, 3), (1, 4), (3,), (1,), (3, 7), (0,), ()]):
                for tone in (*tones[1:], tones[0] + rng.choice([2, 9])):
                    notes.note(at + place(eighth), rng.choice([1.2, 2.5, 7]), 1, near(tone, 60), rng.randint(50, 85))
        if drums:
            for beat in range(4):
                cymbal = {"ride": 51, "shuffle": 42, "brushes": 38}[drums]
                notes.note(at + 4 * beat, 1, 9, cymbal, rng.randint(60, 85))
                if drums == "shuffle" or beat % 2 == 1:
                    notes.note(at + place(2 * beat + 1), 1, 9, cymbal, rng.randint(40, 70))
                    notes.note(at + 4 * beat, 1, 9, 38 if drums == "shuffle" and beat % 2 else 44, rng.randint(60, 90))
                if rng.random() < 0.25:
                    notes.note(at + place(rng.randrange(8)), 1, 9, rng.choice([35, 38, 38]), rng.randint(35, 80))
        idea = ideas[(0, 0, 1, 0, 2, 1)[number // 4 % 6]]
        for eighth, step, held in idea:
            if eighth // 8 == number % 4:
                line = min(84, max(58, line + step))
                while line % 12 not in {(tones[0] + degree) % 12 for degree in SCALES["jazz"]} | {tone % 12 for tone in tones}:
                    line += 1
                for voice in range(voices):
                    below = sorted((near(tone, line - 4 * voice) for tone in tones), key=lambda pitch: abs(pitch - (line - 4 * voice)))
                    notes.note(at + place(eighth % 8), 1.8 * held, 0, line if voice == 0 else below[0], rng.randint(75, 112))
    return notes.file()


def rock_song(rng):
    """Power chords, bass in eighths, a straight kit, a lead now and then."""
    notes = Notes(rng.randint(95, 190))
    progression = rng.choice(PROGRESSIONS["rock"])
    for channel, program in ((0, 30 if rng.random() < 0.6 else 29), (1, rng.choice([33, 34])), (2, rng.choice([29, 30, 18])), (3, 30)):
        notes.program(channel, program)
    notes.control(0, 10, 20)
    notes.control(3, 10, 108)
    cymbal, lead, chug = rng.choice([42, 46, 51, 49]), rng.random() < 0.6, rng.random() < 0.5
    kicks = rng.choice([[0, 8], [0, 8, 10], [0, 6, 8], list(range(0, 16, 2)), [0, 3, 8, 11]])
    for bar in range(36):
        at, root = 16 * bar, 40 + (root_of(progression[bar % len(progression)]) - 4) % 12
        for kick in kicks:
            notes.note(at + kick, 1, 9, 36, rng.randint(100, 122))
        for snare in (4, 12):
            notes.note(at + snare, 1, 9, 38, rng.randint(105, 125))
        for step in range(0, 16, 2 if cymbal != 49 else 4):
            notes.note(at + step, 1, 9, cymbal, rng.randint(75, 105))
        for step in range(0, 16, 2):
            notes.note(at + step, 1.8, 1, root - 12, rng.randint(90, 110))
            if chug or step in (0, 6, 10):
                for guitar in (0, 3):
                    for interval in (0, 7, 12):
                        notes.note(at + step, 1.6 if chug else 3.6, guitar, root + interval, rng.randint(85, 115))
        if lead and bar % 8 >= 4:
            for step in range(0, 16, rng.choice([2, 4])):
                if rng.random() < 0.8:
                    notes.note(at + step, 1.9, 2, root + 24 + rng.choice(SCALES["rock"]), rng.randint(90, 115))
    return notes.file()
