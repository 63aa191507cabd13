//! What fuzzing found, and the fuzz target itself in small: it also builds and runs here, without a fuzzer.

#[path = "../fuzz/session/mod.rs"]
mod session;

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;
use sandbox::{SettingError, Settings, SettingsUpdate};
use session::Session;

fn run(bytes: &[u8]) {
    Session::arbitrary_take_rest(Unstructured::new(bytes)).expect("any bytes make a session").run();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_of_any_bytes_hold_what_is_promised(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        run(&bytes);
    }
}

fn put(name: &str, value: f64) -> Result<Settings, SettingError> {
    Settings::default().with(&SettingsUpdate::default().with(name, value))
}

/// 0.1 was refused where "0.1 to 10" was accepted, for the f32 nearest to it is a little more.
#[test]
fn both_ends_of_every_range_are_accepted_as_the_errors_write_them_and_nothing_beyond() {
    let mut ranges = 0;
    for name in SettingsUpdate::names() {
        let accepted = match put(&name, 1e12) {
            Err(SettingError::Refused { accepted, .. }) => accepted,
            other => panic!("{name}: {other:?}"),
        };
        let Some((least, most)) =
            accepted.strip_prefix("a number from ").and_then(|range| range.split_once(" to "))
        else {
            continue;
        };
        let (least, most): (f64, f64) = (least.parse().unwrap(), most.parse().unwrap());
        for end in [least, most] {
            put(&name, end).unwrap();
        }
        for beyond in [least.next_down(), most.next_up()] {
            assert!(put(&name, beyond).is_err(), "{name}: {beyond}");
        }
        ranges += 1;
    }
    assert!(ranges > 30, "{ranges}");
}
