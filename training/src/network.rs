//! The network while it learns: one hidden layer, cross-entropy, weight decay, Adam.
//!
//! Back-propagation as in Bishop, "Pattern Recognition and Machine Learning", section 5.3; Adam: Kingma and Ba 2015,
//! algorithm 1.

use sandbox::genre::{CLASSES, FEATURES};

/// One standardised vector, its class, and how much it counts.
pub(crate) struct Example {
    pub(crate) features: [f32; FEATURES],
    pub(crate) class: usize,
    pub(crate) weight: f32,
}

pub(crate) struct Network {
    pub(crate) hidden: usize,
    /// Input weights (a row of `hidden` a feature), hidden biases, output weights (a row of `hidden` a class), output biases.
    pub(crate) parameters: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// About normal.
    pub(crate) fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.unit()).sum::<f32>()) - 6.0
    }
}

impl Network {
    pub(crate) fn new(hidden: usize, random: &mut Random) -> Self {
        let count = (FEATURES + 1) * hidden + CLASSES * (hidden + 1);
        let mut parameters = vec![0.0; count];
        // He et al. 2015, eq. 10
        let (inner, outer) = ((2.0 / FEATURES as f32).sqrt(), (2.0 / hidden as f32).sqrt());
        parameters[..FEATURES * hidden].iter_mut().for_each(|weight| *weight = inner * random.normal());
        let outputs = (FEATURES + 1) * hidden;
        parameters[outputs..outputs + CLASSES * hidden]
            .iter_mut()
            .for_each(|weight| *weight = outer * random.normal());
        Self { hidden, first: vec![0.0; count], second: vec![0.0; count], steps: 0, parameters }
    }

    /// One network whose scores are the mean of those of all of these: their hidden units side by side.
    pub(crate) fn mean(networks: &[Self]) -> Self {
        let hidden: usize = networks.iter().map(|one| one.hidden).sum();
        let share = 1.0 / networks.len() as f32;
        let mut parameters = Vec::with_capacity((FEATURES + 1) * hidden + CLASSES * (hidden + 1));
        for feature in 0..FEATURES {
            for one in networks {
                parameters.extend_from_slice(&one.input()[feature * one.hidden..(feature + 1) * one.hidden]);
            }
        }
        networks.iter().for_each(|one| parameters.extend_from_slice(one.input_bias()));
        for class in 0..CLASSES {
            for one in networks {
                let weights = &one.output()[class * one.hidden..(class + 1) * one.hidden];
                parameters.extend(weights.iter().map(|weight| share * weight));
            }
        }
        for class in 0..CLASSES {
            parameters.push(networks.iter().map(|one| share * one.output_bias()[class]).sum());
        }
        Self { hidden, first: Vec::new(), second: Vec::new(), steps: 0, parameters }
    }

    pub(crate) fn input(&self) -> &[f32] {
        &self.parameters[..FEATURES * self.hidden]
    }

    pub(crate) fn input_bias(&self) -> &[f32] {
        &self.parameters[FEATURES * self.hidden..(FEATURES + 1) * self.hidden]
    }

    pub(crate) fn output(&self) -> &[f32] {
        let begin = (FEATURES + 1) * self.hidden;
        &self.parameters[begin..begin + CLASSES * self.hidden]
    }

    pub(crate) fn output_bias(&self) -> &[f32] {
        &self.parameters[(FEATURES + 1) * self.hidden + CLASSES * self.hidden..]
    }

    fn activate(&self, features: &[f32; FEATURES], units: &mut [f32]) {
        units.copy_from_slice(self.input_bias());
        for (value, weights) in features.iter().zip(self.input().chunks_exact(self.hidden)) {
            for (unit, weight) in units.iter_mut().zip(weights) {
                *unit += value * weight;
            }
        }
        units.iter_mut().for_each(|unit| *unit = unit.max(0.0));
    }

    fn score(&self, units: &[f32]) -> [f32; CLASSES] {
        std::array::from_fn(|class| {
            let weights = &self.output()[class * self.hidden..(class + 1) * self.hidden];
            self.output_bias()[class]
                + units.iter().zip(weights).map(|(unit, weight)| unit * weight).sum::<f32>()
        })
    }

    /// The classes' scores, before the softmax.
    pub(crate) fn scores(&self, features: &[f32; FEATURES]) -> [f32; CLASSES] {
        let mut units = vec![0.0; self.hidden];
        self.activate(features, &mut units);
        self.score(&units)
    }

    /// One pass over all examples in batches of 64, with noise on the inputs and a part of the hidden units left out.
    pub(crate) fn epoch(
        &mut self,
        examples: &[&Example],
        rate: f32,
        decay: f32,
        noise: f32,
        random: &mut Random,
    ) {
        let hidden = self.hidden;
        let mut order: Vec<usize> = (0..examples.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, (random.next() >> 33) as usize % (at + 1));
        }
        let (mut units, mut errors, mut gradient) =
            (vec![0.0; hidden], vec![0.0; hidden], vec![0.0; self.parameters.len()]);
        let biases = FEATURES * hidden;
        let outputs = biases + hidden;
        for batch in order.chunks(64) {
            gradient.fill(0.0);
            for &index in batch {
                let example = examples[index];
                let mut features = example.features;
                for feature in &mut features {
                    // one feature in seven is not there at all, so that no few of them decide alone
                    *feature = if random.unit() < 0.15 {
                        0.0
                    } else {
                        *feature + noise * (random.unit() * 2.0 - 1.0)
                    };
                }
                self.activate(&features, &mut units);
                // dropout (Srivastava et al. 2014), a quarter of the units
                for unit in &mut units {
                    *unit = if random.unit() < 0.25 { 0.0 } else { *unit / 0.75 };
                }
                let probabilities = softmax(&self.score(&units), 1.0);
                errors.fill(0.0);
                for (class, probability) in probabilities.into_iter().enumerate() {
                    // a little doubt about every label (Szegedy et al. 2016, section 7)
                    let wanted = if class == example.class { 0.95 } else { 0.05 / (CLASSES - 1) as f32 };
                    let error = (probability - wanted) * example.weight / batch.len() as f32;
                    let at = outputs + class * hidden;
                    for unit in 0..hidden {
                        gradient[at + unit] += error * units[unit];
                        errors[unit] += error * self.parameters[at + unit];
                    }
                    gradient[outputs + CLASSES * hidden + class] += error;
                }
                for unit in 0..hidden {
                    errors[unit] = if units[unit] > 0.0 { errors[unit] / 0.75 } else { 0.0 };
                    gradient[biases + unit] += errors[unit];
                }
                for (value, gradient) in features.iter().zip(gradient.chunks_exact_mut(hidden)) {
                    for (gradient, error) in gradient.iter_mut().zip(&errors) {
                        *gradient += value * error;
                    }
                }
            }
            self.step(&gradient, rate, decay);
        }
    }

    fn step(&mut self, gradient: &[f32], rate: f32, decay: f32) {
        self.steps += 1;
        let (first, second) = (1.0 - 0.9_f32.powi(self.steps), 1.0 - 0.999_f32.powi(self.steps));
        for (at, gradient) in gradient.iter().enumerate() {
            self.first[at] = 0.9 * self.first[at] + 0.1 * gradient;
            self.second[at] = 0.999 * self.second[at] + 0.001 * gradient * gradient;
            let step = self.first[at] / first / ((self.second[at] / second).sqrt() + 1e-8);
            // decoupled decay: Loshchilov and Hutter 2019
            self.parameters[at] -= rate * (step + decay * self.parameters[at]);
        }
    }
}

pub(crate) fn softmax(scores: &[f32; CLASSES], temperature: f32) -> [f32; CLASSES] {
    let most = scores.iter().fold(f32::MIN, |most, score| most.max(*score));
    let weights = scores.map(|score| ((score - most) / temperature).exp());
    let sum: f32 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}
