//! A cross-fade between a sound and what is made of it, for what is switched on and off in mid-stream.

/// 10 ms: short for a switch, long for a click.
const FADES_PER_SECOND: u32 = 100;
/// How much is copied at a time, in samples.
const PIECE: usize = 128;

/// Where a cross-fade between dry (the sound as it comes) and wet (the result) is. It counts sample frames, so how a
/// stream is cut makes no difference. It can be turned round at any time, and then goes back from where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CrossFade {
    /// Sample frames from one end to the other.
    length: usize,
    /// Sample frames from dry: 0 to `length`.
    position: usize,
    /// Sample frames that stay dry before the way to wet begins.
    waits: usize,
    to_wet: bool,
}

impl CrossFade {
    /// One that is at its end.
    pub(crate) fn at_rest(sample_rate_hz: u32, wet: bool) -> CrossFade {
        let length = (sample_rate_hz / FADES_PER_SECOND).max(1) as usize;
        CrossFade { length, position: if wet { length } else { 0 }, waits: 0, to_wet: wet }
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

    /// To dry, from where it is.
    pub(crate) fn fall(&mut self) {
        self.to_wet = false;
    }

    /// To wet, from where it is; if that is dry, then after so many sample frames: the delay of what begins anew and
    /// would be heard as a gap.
    pub(crate) fn rise(&mut self, delay: usize) {
        if self.is_dry() {
            self.waits = delay;
        }
        self.to_wet = true;
    }

    /// Fades between `block` and what `work` makes of it until the fade or the block ends; gives the rest. `work` gets
    /// whole sample frames, in order. What comes out lies between the two sounds.
    pub(crate) fn run<'a>(
        &mut self,
        block: &'a mut [f32],
        channels: usize,
        mut work: impl FnMut(&mut [f32]),
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
            work(piece);
            for (wet, dry) in piece.chunks_exact_mut(channels).zip(dry.chunks_exact(channels)) {
                let share = self.next_share();
                wet.iter_mut().zip(dry).for_each(|(wet, dry)| *wet = share * *wet + (1.0 - share) * dry);
            }
        }
    }

    /// Sample frames until it is at its end.
    fn left(&self) -> usize {
        if self.to_wet {
            self.waits + self.length - self.position
        } else {
            self.position
        }
    }

    /// Goes on by a sample frame: how much of that is wet. The way is 3t^2 - 2t^3, level at both ends, for a straight
    /// line has a corner there that is heard in a deep tone.
    fn next_share(&mut self) -> f32 {
        match (self.to_wet, self.waits) {
            (false, _) => self.position -= 1,
            (true, 0) => self.position += 1,
            (true, _) => self.waits -= 1,
        }
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
    fn it_takes_10_ms_after_its_delay_and_is_exact_at_both_ends() {
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
    fn turned_round_it_goes_back_from_where_it_is() {
        for block in [1, 5, 64, 500] {
            let mut fade = CrossFade::at_rest(48_000, false);
            fade.rise(0);
            let mut heard = run(&mut fade, 300, block);
            fade.fall();
            heard.extend(run(&mut fade, 200, block));
            fade.rise(1_000);
            heard.extend(run(&mut fade, 400, block));
            assert!(fade.is_wet(), "no delay is waited for, for what was heard goes on");
            assert!(heard.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 1.6 / 480.0));
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
