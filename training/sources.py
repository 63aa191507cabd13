"""Which package gives what, to which class and part. A package's works, composers and speakers are in one part only.

`development` was looked at while the model was chosen, and is then trained on; `test` was fixed before anything of it was heard by
a model, and is only measured on.
"""

# part, class, package, file patterns, excerpts of each work
RECORDINGS = [
    # rock
    ("train", "rock", "fretsonfire-songs-muldjord", ["song.ogg"], 6),
    ("train", "rock", "extremetuxracer-data", ["race1-jt.ogg", "start1-jt.ogg", "freezingpoint.ogg"], 2),
    ("train", "rock", "asc-music", ["machine_wars.mp3", "time_to_strike.mp3"], 3),
    ("development", "rock", "fretsonfire-songs-sectoid", ["song.ogg"], 6),
    ("development", "rock", "marsshooter-data", ["[01][0-9]_*.ogg"], 3),
    # electronic
    ("train", "electronic", "tumiki-fighters-data", ["*.ogg"], 2),
    ("train", "electronic", "val-and-rick-data", ["*.ogg"], 2),
    ("development", "electronic", "singularity-music", ["A*.ogg", "By-Product.ogg", "Coherence.ogg", "Deprecation.ogg"], 2),
    ("development", "electronic", "rafkill-data", ["*.xm"], 2),
    ("development", "electronic", "criticalmass-data", ["*.xm"], 2),
    ("development", "electronic", "csmash-demosong", ["*.ogg"], 2),
    ("development", "electronic", "pushover-data", ["electro.ogg"], 2),
    ("train", "electronic", "noiz2sa-data", ["*.ogg"], 2),
    ("train", "electronic", "rrootage-data", ["*.ogg"], 2),
    ("train", "electronic", "parsec47-data", ["*.ogg"], 2),
    ("train", "electronic", "torus-trooper-data", ["*.ogg"], 2),
    ("train", "electronic", "mu-cade-data", ["*.ogg"], 2),
    ("train", "electronic", "titanion-data", ["*.ogg"], 2),
    ("train", "electronic", "gunroar-data", ["*.ogg"], 2),
    ("train", "electronic", "a7xpg-data", ["*.ogg"], 2),
    ("train", "electronic", "tecnoballz-data", ["*.mod"], 2),
    ("train", "electronic", "freedroid-data", ["*.mod", "Paradroid.ogg"], 2),
    ("train", "electronic", "supertuxkart-data", ["SkyVibe-HighFrequency.ogg", "valley.ogg", "xeon6.ogg"], 3),
    ("train", "electronic", "warzone2100-music", ["track*.opus"], 1),
    # named or tagged ambient or electronic: the others of this package claim nothing
    ("train", "electronic", "naev-data", ["ambient[123]*.ogg", "ambiphonic.ogg", "void_sensor.ogg", "eureka.ogg", "terminal.ogg"], 5),
    ("train", "electronic", "tuxtype-data", ["chiptune2.ogg"], 2),
    # electronic musicians, though the packages do not say so: good enough to learn from
    ("train", "electronic", "zaz-data", ["mus[1-4].ogg"], 4),
    ("train", "electronic", "asterisk-moh-opsound-g722", ["macroform-*.g722"], 4),
    # the rest of what the earlier test had a half of
    ("development", "electronic", "singularity-music", ["Enemy*.ogg", "Inevitable.ogg", "Media*.ogg", "Nebula.ogg", "Orbital*.ogg",
     "Through*.ogg"], 4),
    ("train", "classical", "naev-data", ["pirates_orchestra.ogg"], 4),
    ("development", "electronic", "nexuiz-music", ["digital-pursuit.ogg", "brainsukker.ogg", "breakdown-easy.ogg",
     "calling-bogus.ogg", "infight.ogg", "neuronal-diving.ogg", "subcities.ogg", "thru-the-mirror.ogg"], 3),
    ("development", "electronic", "starfighter-data", ["last_cyber_dance.ogg", "walking_among_androids.ogg",
     "sound_and_silence.ogg", "railjet_short.ogg"], 3),
    # classical
    ("train", "classical", "wesnoth-1.16-music", ["*.ogg"], 2),
    ("train", "classical", "freecol", ["fearless-sailors.ogg", "founders.ogg", "settlers-routine.ogg", "sunrise.ogg"], 2),
    ("development", "classical", "megaglest-data", ["romans.ogg"], 4),
    ("development", "classical", "lordsawar-data", ["back1.ogg", "intro.ogg", "defeat.ogg"], 4),
    ("development", "classical", "ufoai-music", ["van_mission.ogg", "van_theme.ogg"], 4),
    ("development", "classical", "freeciv-data", ["*Fanfare.ogg"], 4),
    # jazz
    ("train", "jazz", "supertuxkart-data", ["lenautile_restaurant.ogg"], 2),
    ("development", "jazz", "lincity-ng-data", ["02*.ogg"], 6),
    ("development", "jazz", "enigma-data", ["enigma_rag.ogg"], 6),
    # test: genre tags, titles, or what the copyright file or the text beside it says of a file (see README.md)
    ("test", "rock", "wordwarvi-sound", ["lucky*.ogg"], 8),
    ("test", "rock", "gcompris-qt-data", ["america.ogg"], 6),
    ("test", "rock", "renpy-thequestion", ["illurock.opus"], 3),
    ("test", "electronic", "wizznic-data", ["Sean*.ogg", "menu-music.ogg"], 2),
    ("test", "electronic", "freedroidrpg-data", ["TheBeginning.ogg", "temple.ogg", "Bleostrada.ogg", "AmbientBattle.ogg"], 4),
    ("test", "electronic", "supertux-data", ["chipdisko.ogg"], 3),
    ("test", "classical", "unknown-horizons", ["Peer Gynt*.ogg"], 10),
    ("test", "classical", "gamine-data", ["Bach*.ogg"], 10),
    ("test", "classical", "gcompris-qt-data", ["beethoven.ogg", "italy.ogg"], 5),
    ("test", "classical", "warmux-data", ["Divertissement_pour_flute.ogg"], 4),
    ("test", "classical", "supertux-data", ["airship_remix.ogg"], 4),
    # none of the five: places and weather
    ("train", "unknown", "megaglest-data", ["rain.ogg", "nightime.ogg", "sunny_day.ogg", "night.ogg"], 1),
    ("train", "unknown", "lugaru-data", ["DesertAmbient.ogg", "Wind.ogg"], 2),
    ("development", "unknown", "btanks-data", ["city.ogg", "country.ogg", "forest.ogg", "swamp.ogg"], 3),
    ("test", "unknown", "supertux-data", ["rain.wav", "thunder.wav"], 3),
    ("test", "unknown", "unknown-horizons", ["sheepfield.ogg", "windmill.ogg", "lumberjack_long.ogg", "warehouse.ogg"], 1),
    ("test", "unknown", "plee-the-bear-data", ["weather/rain.ogg"], 2),
    ("development", "unknown", "endless-sky-data", ["machinery.mp3"], 3),
]

_ASTERISK = "usr/share/asterisk/sounds/**/*.g722"
_FILLETS = "usr/share/games/fillets-ng/sound/**/*-{}-*.ogg"
_TUXPAINT = "usr/share/tuxpaint/stamps/**/*_desc_{}.ogg"
_KTUBERLING = "usr/share/ktuberling/sounds/{}/*.*"

_KAJONGG = "usr/share/kajongg/voices/{}/*.ogg"
_KLETTRES = "usr/share/klettres/{}/syllab/*.*"

# part, package, speaker, file pattern, excerpts
SPEECH = [
    ("test", "asterisk-core-sounds-it-g722", "it", _ASTERISK, 15),
    *(("test", "kajongg", speaker, _KAJONGG.format(speaker), 3)
      for speaker in ("male1", "male2", "female1", "female2", "de/male1", "de/male2", "de/female1", "de/female2")),
    *(("test", "klettres-data", language, _KLETTRES.format(language), 2) for language in ("ru", "hu", "pt_BR", "it", "es", "fr")),
    *(("train", f"asterisk-core-sounds-{language}-g722", language, _ASTERISK, 20) for language in ("en", "es", "fr")),
    *(("train", "fillets-ng-data-cs", f"cs-{fish}", _FILLETS.format(fish), 25) for fish in ("m", "v")),
    *(("train", "tuxpaint-stamps-default", language, _TUXPAINT.format(language), 12)
      for language in ("fr", "ro", "ca", "bg", "es", "be", "el")),
    *(("train", "ktuberling-data", language, _KTUBERLING.format(language), 4) for language in ("ca", "uk", "en", "de")),
    *(("development", f"asterisk-core-sounds-{language}-g722", language, _ASTERISK, 15) for language in ("ru",)),
    ("development", "asterisk-prompt-es-co", "es-co", "usr/share/asterisk/sounds/**/*.gsm", 15),
    ("development", "asterisk-prompt-fr-armelle", "armelle", "usr/share/asterisk/sounds/**/*.gsm", 15),
    ("development", "asterisk-prompt-it-menardi-wav", "menardi", "usr/share/asterisk/sounds/**/*.wav", 15),
    *(("development", "fillets-ng-data-nl", f"nl-{fish}", _FILLETS.format(fish), 20) for fish in ("m", "v")),
    *(("development", "tuxpaint-stamps-default", language, _TUXPAINT.format(language), 8) for language in ("da", "lt", "nl")),
    *(("development", "ktuberling-data", language, _KTUBERLING.format(language), 4) for language in ("lt", "da")),
]

# MIDI files: part, class, package, numbers or names at the beginning of the file's name
MIDI_FILES = [
    ("train", "jazz", "simutrans-data", ["03", "07", "09", "13", "15", "16", "18", "21", "22", "23", "24", "31", "32",
     "33", "36", "37", "38", "39"]),
    ("train", "rock", "simutrans-data", ["11", "28", "29"]),
    ("train", "electronic", "simutrans-data", ["12", "40", "44", "46", "48"]),
    ("development", "jazz", "openttd-openmsx", ["5432gone", "boogi_marabi", "moo_", "mosey", "slow_neasy", "keep_on", "tttheme2"]),
    ("development", "rock", "openttd-openmsx", ["flying_scotsman", "mighty_giant", "ultimate_run", "run_for_your", "chuggachugga"]),
    ("development", "electronic", "planetblupi-music-midi", ["music005", "music006", "music009"]),
]

# Of these, songs with distorted guitars and drums are rock (the rule is in compose.py).
DOOM_MUSIC = [("train", "freedoom", ["freedoom1.wad", "freedoom2.wad"]), ("test", "freedm", ["freedm.wad"])]

# Styles of MMA (Musical MIDI Accompaniment): part, class, styles
STYLES = [
    ("train", "jazz", ["stdlib/" + name for name in "swing fastswing easyswing jazzcombo jazzguitar mellowjazz slowjazz "
     "jazzwaltz bossanova evansish foxtrot gypsyjazz ragtime descendingjazz fastjazzwaltz nitejazz boggiewoggie 68swing "
     "slowblues folkyjazz".split()] + ["casio/jazzcombo", "casio/middlebigband", "casio/swing", "yamaha/jazzbasie",
     "yamaha/jazzbossa", "yamaha/jazzswing", "yamaha/jazzGrtrio"]),
    ("development", "jazz", ["stdlib/bebop", "stdlib/bigband", "stdlib/modernjazz", "stdlib/modernjazzwaltz", "stdlib/jazz-54",
     "stdlib/dixie", "stdlib/charleston", "casio/fastbigband", "casio/slowbigband", "casio/slowswing", "yamaha/jazzbouncy",
     "yamaha/jazztrio", "casio/jazzwaltz"]),
    ("train", "rock", ["stdlib/50srock", "stdlib/60srock", "stdlib/basicrock", "stdlib/8beat", "stdlib/bubblerock",
     "stdlib/rock-128", "casio/rock1", "casio/8beat1", "casio/8beatpop2", "casio/60srock", "casio/poprock1",
     "casio/shufflerock", "casio/16beat1", "pflib/metal1", "pflib/rock1", "kara/K50s_rock", "casio/digitalrock"]),
    ("development", "rock", ["casio/rock2", "casio/heavymetal", "pflib/metal2", "casio/poprock2", "casio/8beat2", "yamaha/w-rock",
     "pflib/8beat1", "casio/slowrock"]),
    ("development", "jazz", ["casio/modernjazz", "casio/shuffleboogie", "casio/blues", "yamaha/jazzwaltz", "stdlib/shuffleboggie",
     "stdlib/jazzrhumba", "stdlib/westernswing", "stdlib/blues128", "kara/kbossa"]),
    ("development", "rock", ["pflib/slowrock", "pflib/highfive", "stdlib/rockwaltz", "stdlib/softrock", "stdlib/folkrock", "stdlib/rockballad",
     "casio/8beat3", "casio/16beat3", "casio/twist"]),
    ("development", "electronic", ["casio/dancepop3", "casio/ambient2", "casio/ambient3", "casio/80spop"]),
    ("train", "electronic", ["casio/techno", "casio/trance1", "casio/house", "casio/dance1", "casio/ambient1",
     "casio/8beatdance", "casio/electricpop", "alexis/teamtechno", "casio/dancepop1", "casio/triphop"]),
    ("development", "electronic", ["stdlib/trance", "casio/rave", "casio/trance2", "casio/dance2", "casio/latinhouse",
     "casio/dancepop2"]),
    ("test", "jazz", ["stdlib/blues", "stdlib/blues68", "stdlib/fastblues", "stdlib/quickstep", "stdlib/softshoe", "stdlib/jive",
     "stdlib/dixiemarch", "casio/foxtrot", "casio/quickstep"]),
]
# Jazz groups of our own on drums alone, of these styles: part, styles
GROUPS = [("test", ["zoom/jazz", "zoom/jazz04", "zoom/blues", "zoom/bossa"])]

# Composers of music21's corpus: part, composers, works of each at most
COMPOSERS = [
    ("train", ["bach"], 36), ("train", ["haydn", "mozart", "monteverdi", "palestrina", "josquin", "handel", "corelli",
     "cpebach", "lusitano"], 9),
    ("development", ["beethoven", "schumann_robert", "schumann_clara", "schubert", "weber", "verdi"], 10),
    ("development", ["chopin", "beach", "ciconia", "trecento", "luca", "schoenberg", "webern"], 16),
]

# Slow electronic songs of our own (ambient.py): part, songs
AMBIENT_SONGS = [("train", 130)]

# Sound fonts: each part has fonts of its own, so that no font tells a class.
FONTS = {
    "train": (["denemo-data/usr/share/sounds/sf2/A320U.sf2"],
              ["/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf2/TimGM6mb.sf2"]),
    "development": (["csound-soundfont/usr/share/sounds/sf2/sf_GMbank.sf2",
                     "musescore-general-soundfont-small/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"],
                    ["/usr/share/sounds/sf2/TimGM6mb.sf2"]),
    "test": (["csound-soundfont/usr/share/sounds/sf2/sf_GMbank.sf2",
              "musescore-general-soundfont/usr/share/sounds/sf3/MuseScore_General_Full.sf3"], []),
}

# Licence of the material, from each package's copyright file (and the README in its archive, or its tags, where that says more)
LICENCES = {
    "a7xpg-data": "BSD-2",
    "asc-music": "GPL-2+",
    "asterisk-core-sounds-en-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-es-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-fr-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-it-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-ru-g722": "CC-BY-SA-3.0",
    "asterisk-prompt-es-co": "GPL",
    "asterisk-prompt-fr-armelle": "GPL",
    "asterisk-prompt-it-menardi-wav": "CC-BY-SA-3.0",
    "btanks-data": "GPL-2+",
    "composed": "this repository (`ambient.py`, `songs.py`, `band.py`)",
    "criticalmass-data": "GPL-2+",
    "csmash-demosong": "Open Audio License (its copyright file)",
    "endless-sky-data": "CC-BY-SA, public domain",
    "enigma-data": "GPL-2+",
    "extremetuxracer-data": "GPL-2+",
    "fillets-ng-data-cs": "GPL-2+",
    "fillets-ng-data-nl": "GPL-2+",
    "freeciv-data": "GPL-2+",
    "freecol": "GPL-2+, CC-BY-SA-3.0",
    "freedm": "BSD-3",
    "freedoom": "BSD-3",
    "freedroid-data": "GPL-2+",
    "freedroidrpg-data": "GPL-2+",
    "fretsonfire-songs-muldjord": "free (its copyright file)",
    "fretsonfire-songs-sectoid": "MIT",
    "gamine-data": "public domain",
    "gcompris-qt-data": "CC-BY-3.0, CC0-1.0, public domain",
    "group": "own notes (`compose.py`) on drums of MMA's styles, GPL-2+",
    "gunroar-data": "BSD-2",
    "kajongg": "GPL-2+",
    "klettres-data": "GPL-2+",
    "ktuberling-data": "GPL-2+, CC",
    "lincity-ng-data": "GPL-2+",
    "lordsawar-data": "GPL-3+",
    "lugaru-data": "CC-BY-SA",
    "marsshooter-data": "CC-BY-SA-3.0 (Obsidian Shell)",
    "megaglest-data": "CC-BY-SA-3.0",
    "mma": "styles GPL-2+; chords and solos of our own",
    "mu-cade-data": "BSD-2",
    "music21": "scores out of copyright, encodings free to use (PyPI, BSD-3)",
    "naev-data": "GPL-3 or CC-BY-3.0, CC-BY-3.0, CC-BY-SA-3.0",
    "nexuiz-music": "GPL-2+",
    "noiz2sa-data": "BSD-2",
    "openttd-openmsx": "GPL-2",
    "parsec47-data": "BSD-2",
    "planetblupi-music-midi": "GPL-3+",
    "plee-the-bear-data": "CC-BY-SA",
    "pushover-data": "GPL-3+",
    "rafkill-data": "LGPL-2",
    "renpy-thequestion": "MIT (Expat)",
    "rrootage-data": "BSD-2",
    "simutrans-data": "Artistic-1.0",
    "singularity-music": "CC-BY-SA (its copyright file)",
    "starfighter-data": "CC-BY-3.0, CC-BY-SA-3.0, GPL",
    "supertux-data": "GPL-2+",
    "supertuxkart-data": "CC-BY-SA-3.0/4.0, CC-BY-3.0, CC0",
    "synthetic": "this repository (`gather.py`)",
    "tecnoballz-data": "GPL-3+",
    "titanion-data": "BSD-2",
    "torus-trooper-data": "BSD-2",
    "tumiki-fighters-data": "BSD-2",
    "tuxpaint-stamps-default": "GPL-2",
    "zaz-data": "CC-BY-SA-3.0 (Leonard Ritter, paniq)",
    "asterisk-moh-opsound-g722": "CC-BY-SA-3.0 (Paul Shuler, Macroform)",
    "tuxtype-data": "GFDL-1.2+ (its tag)",
    "ufoai-music": "GPL-2+, CC-BY-SA-3.0",
    "unknown-horizons": "CC-BY-SA-3.0",
    "val-and-rick-data": "BSD-2",
    "warmux-data": "GPL-2+",
    "warzone2100-music": "CC0, GPL-2+",
    "wesnoth-1.16-music": "GPL-2+",
    "wizznic-data": "GPL-3",
    "wordwarvi-sound": "CC-BY-SA-3.0 (Stephen Cameron, Marty Kiel, Skip Kavanaugh)",
}


def packages():
    """All that is fetched and unpacked (the programs themselves are installed by run.sh)."""
    fonts = [pattern.split("/")[0] for patterns, _ in FONTS.values() for pattern in patterns]
    named = [row[2] for row in RECORDINGS] + [row[1] for row in SPEECH] + [row[2] for row in MIDI_FILES]
    return sorted({*fonts, *named, *(row[1] for row in DOOM_MUSIC), "avldrums.lv2-soundfont"})
