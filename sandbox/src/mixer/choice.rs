//! Who is heard: the loudest few, without flapping.
//!
//! * While there are places left, whoever makes a sound is heard, from the first block on.
//! * Who has a place keeps it through pauses, up to the hold time.
//! * When all places are taken, one who speaks gets the place of a speaker who has paused; else it must be louder than
//!   the quietest speaker by the hysteresis, for the takeover time. So a cough or a "yes" moves nobody.
//!
//! Levels are smoothed powers of what participants send, before volume and pan: turning somebody down makes it quieter,
//! not less active.

/// Who is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeakerChoice {
    /// Voices in the mix at a time, 1 to 1,024. (While voices are exchanged, those who go fade out beside them.)
    pub max_speakers: usize,
    /// The RMS level above which a block counts as sound, -120 to -20 dB relative to full scale.
    pub silence_dbfs: f32,
    /// By how much one must be louder than a speaker to take its place, 0 to 30 dB.
    pub hysteresis_db: f32,
    /// For how long it must, 0 to 5,000 ms.
    pub takeover_ms: f32,
    /// For how long a speaker may be silent, or send nothing, before its place is given up, 0 to 10,000 ms.
    pub hold_ms: f32,
}

impl Default for SpeakerChoice {
    /// Five speakers; -60 dB, 6 dB, 200 ms, 800 ms.
    fn default() -> Self {
        Self { max_speakers: 5, silence_dbfs: -60.0, hysteresis_db: 6.0, takeover_ms: 200.0, hold_ms: 800.0 }
    }
}

/// How fast the smoothed level rises.
const ATTACK_MS: f32 = 50.0;
/// How fast it falls.
const RELEASE_MS: f32 = 300.0;
/// A speaker silent for so long may lose its place to anybody who speaks: longer than the gaps inside a sentence.
const PAUSE_MS: f32 = 250.0;
/// Smoothed powers below this are 0: -200 dB.
const NO_POWER: f32 = 1e-20;

/// What the choice knows of one participant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Activity {
    /// Smoothed power, full scale being 1.
    pub(super) power: f32,
    /// Whether it makes a sound this round, and may be heard.
    audible: bool,
    /// Since the last sound.
    quiet_ms: f32,
    /// How long it has been louder than the quietest speaker.
    challenge_ms: f32,
    /// Whether its voice belongs in the mix.
    pub(super) chosen: bool,
}

/// The choice, in steps of one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser {
    max_speakers: usize,
    silence_power: f32,
    hysteresis: f32,
    takeover_ms: f32,
    hold_ms: f32,
    block_ms: f32,
    /// Share of the way to a higher or lower power that is gone in one block.
    attack: f32,
    release: f32,
}

impl Chooser {
    pub(super) fn new(choice: &SpeakerChoice, block_ms: f32) -> Self {
        Self {
            max_speakers: choice.max_speakers,
            silence_power: 10f32.powf(0.1 * choice.silence_dbfs),
            hysteresis: 10f32.powf(0.1 * choice.hysteresis_db),
            takeover_ms: choice.takeover_ms,
            hold_ms: choice.hold_ms,
            block_ms,
            attack: 1.0 - (-block_ms / ATTACK_MS).exp(),
            release: 1.0 - (-block_ms / RELEASE_MS).exp(),
        }
    }

    /// Takes in one participant's round: the mean power of its block, 0 if it sent none.
    pub(super) fn hear(&self, activity: &mut Activity, power: f32, muted: bool) {
        let share = if power > activity.power { self.attack } else { self.release };
        activity.power += share * (power - activity.power);
        if activity.power < NO_POWER {
            activity.power = 0.0;
        }
        activity.audible = !muted && power > self.silence_power;
        activity.quiet_ms = if activity.audible { 0.0 } else { activity.quiet_ms + self.block_ms };
        if muted || activity.quiet_ms > self.hold_ms {
            activity.chosen = false;
        }
    }

    /// Gives out the places, when all were heard. Among equals the first comes first.
    pub(super) fn choose(&self, activities: &mut [Activity]) {
        let mut places_left =
            self.max_speakers.saturating_sub(activities.iter().filter(|activity| activity.chosen).count());
        while let Some(next) = loudest(activities, |activity| activity.audible && !activity.chosen) {
            if places_left > 0 {
                places_left -= 1;
            } else if let Some(pausing) = longest_quiet(activities) {
                activities[pausing].chosen = false;
            } else {
                break;
            }
            enter(&mut activities[next]);
        }
        self.let_challengers_in(activities);
    }

    fn let_challengers_in(&self, activities: &mut [Activity]) {
        let chosen = activities.iter().enumerate().filter(|(_, activity)| activity.chosen);
        let Some((quietest, to_beat)) = chosen
            .map(|(place, activity)| (place, activity.power))
            .min_by(|one, other| one.1.total_cmp(&other.1))
        else {
            return;
        };
        for activity in activities.iter_mut() {
            let louder = activity.audible && !activity.chosen && activity.power > self.hysteresis * to_beat;
            activity.challenge_ms = if louder { activity.challenge_ms + self.block_ms } else { 0.0 };
        }
        let winner = loudest(activities, |activity| {
            activity.challenge_ms > 0.0 && activity.challenge_ms >= self.takeover_ms
        });
        if let Some(winner) = winner {
            activities[quietest].chosen = false;
            enter(&mut activities[winner]);
        }
    }
}

fn enter(activity: &mut Activity) {
    activity.chosen = true;
    activity.challenge_ms = 0.0;
}

fn loudest(activities: &[Activity], who: impl Fn(&Activity) -> bool) -> Option<usize> {
    let mut found: Option<(usize, f32)> = None;
    for (place, activity) in activities.iter().enumerate().filter(|(_, activity)| who(activity)) {
        if found.is_none_or(|(_, power)| activity.power > power) {
            found = Some((place, activity.power));
        }
    }
    found.map(|(place, _)| place)
}

fn longest_quiet(activities: &[Activity]) -> Option<usize> {
    let mut found: Option<(usize, f32)> = None;
    for (place, activity) in activities.iter().enumerate() {
        let pausing = activity.chosen && activity.quiet_ms >= PAUSE_MS;
        if pausing && found.is_none_or(|(_, quiet)| activity.quiet_ms > quiet) {
            found = Some((place, activity.quiet_ms));
        }
    }
    found.map(|(place, _)| place)
}
