//! A cross-fade between a sound and what is made of it, for what is switched on and off in mid-stream.

/// 10 ms: short for a switch, long for a click.
const FADES_PER_SECOND: u32 = 100;
/// How much is copied at a time, in samples.
const PIECE: usize = 128;

/// Where a cross-fade between dry (the sound as it comes) and wet (the result) is. It counts sample frames, so how a
/// stream is cut makes no difference. Turned round on its way, it goes to that end first: a corner on the way would be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CrossFade {
    /// Sample frames from one end to the other.
    length: usize,
    /// Sample frames from dry: 0 to `length`.
    position: usize,
    /// Sample frames that stay dry before the way to wet begins.
    waits: usize,
    /// Which end it is on its way to, or at.
    heads_for_wet: bool,
    /// Which end it is to stay at.
    to_wet: bool,
}

impl CrossFade {
    /// One that is at its end.
    pub(crate) fn at_rest(sample_rate_hz: u32, wet: bool) -> CrossFade {
        let length = (sample_rate_hz / FADES_PER_SECOND).max(1) as usize;
        CrossFade {
            length,
            position: if wet { length } else { 0 },
            waits: 0,
            heads_for_wet: wet,
            to_wet: wet,
        }
    }

    /// Whether only what is made of the sound is heard, from here on.
    #[inline]
    pub(crate) fn is_wet(&self) -> bool {
        self.to_wet && self.position == self.length
    }

    /// Whether only the sound as it comes is heard, from here on: nothing need be made of it.
    #[inline]
    pub(crate) fn is_dry(&self) -> bool {
        !self.to_wet && self.position == 0
    }

    /// To dry, after the way to wet if it is on that.
    pub(crate) fn fall(&mut self) {
        self.to_wet = false;
        self.turn_at_end();
    }

    /// To wet, after the way to dry if it is on that. If it rests at dry, then after so many sample frames: until what
    /// begins anew is filled, or its silence would be heard as a gap.
    pub(crate) fn rise(&mut self, fill: usize) {
        if self.is_dry() {
            self.waits = fill;
        }
        self.to_wet = true;
        self.turn_at_end();
    }

    fn turn_at_end(&mut self) {
        if self.position == 0 || self.position == self.length {
            self.heads_for_wet = self.to_wet;
        }
    }

    /// Fades between `block` and what `work` makes of it until it rests or the block ends; gives the rest. `work` gets
    /// whole sample frames, in order. What comes out lies between the two sounds.
    pub(crate) fn run<'a>(
        &mut self,
        block: &'a mut [f32],
        channels: usize,
        mut work: impl FnMut(&mut [f32]),
    ) -> &'a mut [f32] {
        self.run_both(block, channels, |_, piece| work(piece))
    }

    /// The same where dry is not the sound as it comes either: `work` gets two copies of it, dry and wet.
    pub(super) fn run_both<'a>(
        &mut self,
        block: &'a mut [f32],
        channels: usize,
        mut work: impl FnMut(&mut [f32], &mut [f32]),
    ) -> &'a mut [f32] {
        let mut copy = [0.0; PIECE];
        let mut rest = block;
        loop {
            let frames = self.left().min(rest.len() / channels).min(PIECE / channels);
            if frames == 0 {
                return rest;
            }
            let (piece, behind) = rest.split_at_mut(frames * channels);
            rest = behind;
            let dry = &mut copy[..piece.len()];
            dry.copy_from_slice(piece);
            work(dry, piece);
            for (wet, dry) in piece.chunks_exact_mut(channels).zip(dry.chunks_exact(channels)) {
                let share = self.next_share();
                wet.iter_mut().zip(dry).for_each(|(wet, dry)| *wet = share * *wet + (1.0 - share) * dry);
            }
        }
    }

    /// Sample frames to the next end; 0 at rest.
    fn left(&self) -> usize {
        if self.heads_for_wet {
            self.waits + self.length - self.position
        } else {
            self.position
        }
    }

    /// Goes on by a sample frame: how much of that is wet. The way is 3t^2 - 2t^3, level at both ends, for a straight
    /// line has a corner there that is heard in a deep tone.
    fn next_share(&mut self) -> f32 {
        match (self.heads_for_wet, self.waits) {
            (false, _) => self.position -= 1,
            (true, 0) => self.position += 1,
            (true, _) => self.waits -= 1,
        }
        self.turn_at_end();
        let t = self.position as f32 / self.length as f32;
        t * t * (3.0 - 2.0 * t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of ones that are made twos, in blocks of so many sample frames.
    fn run(fade: &mut CrossFade, frames: usize, block: usize) -> Vec<f32> {
        let mut sound = vec![1.0; 2 * frames];
        for block in sound.chunks_mut(2 * block) {
            let double = |piece: &mut [f32]| piece.iter_mut().for_each(|sample| *sample *= 2.0);
            let rest = fade.run(block, 2, double);
            if fade.is_wet() {
                double(rest);
            }
        }
        assert!(sound.chunks(2).all(|frame| frame[0] == frame[1]));
        sound.into_iter().step_by(2).collect()
    }

    #[test]
    fn it_takes_10_ms_after_it_has_waited_and_is_exact_at_both_ends() {
        let mut fade = CrossFade::at_rest(8_000, false);
        assert!(fade.is_dry() && run(&mut fade, 10, 3).iter().all(|sample| *sample == 1.0));
        fade.rise(20);
        let up = run(&mut fade, 110, 7);
        assert!(fade.is_wet() && up[..20].iter().all(|sample| *sample == 1.0));
        assert!(up[20..100].windows(2).all(|pair| pair[0] < pair[1]) && up[98] < 2.0);
        assert!(up[99..].iter().all(|sample| *sample == 2.0));
        fade.fall();
        let down = run(&mut fade, 90, 90);
        assert!(fade.is_dry() && down[78] > 1.0 && down[79..].iter().all(|sample| *sample == 1.0));
    }

    #[test]
    fn turned_round_on_its_way_it_goes_to_that_end_first_and_turns_there() {
        let mut once = CrossFade::at_rest(48_000, false);
        once.rise(0);
        let up = run(&mut once, 480, 480);
        for block in [1, 5, 64, 900] {
            let mut fade = CrossFade::at_rest(48_000, false);
            fade.rise(0);
            let mut heard = run(&mut fade, 300, block);
            fade.fall();
            heard.extend(run(&mut fade, 180, block));
            assert_eq!(heard, up);
            let down = run(&mut fade, 400, block);
            fade.rise(1_000);
            assert!(run(&mut fade, 80, block).last() == Some(&1.0) && !fade.is_dry());
            assert_eq!(run(&mut fade, 480, block), up, "what ran on needs no filling");
            assert!(fade.is_wet() && down.iter().zip(&up).all(|(down, up)| (3.0 - down - up).abs() < 1e-5));
        }
    }

    #[test]
    fn one_that_has_not_left_dry_is_there_at_once() {
        let mut fade = CrossFade::at_rest(48_000, false);
        fade.rise(100);
        run(&mut fade, 50, 50);
        fade.fall();
        assert!(fade.is_dry());
        fade.rise(100);
        assert!(run(&mut fade, 100, 9).iter().all(|sample| *sample == 1.0), "and waits anew");
    }
}
