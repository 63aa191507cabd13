//! The documentation names what there is.

use sandbox::SettingsUpdate;

#[test]
fn every_setting_of_a_session_is_documented_under_its_name() {
    let documented = include_str!("../../docs/AUDIO.md");
    for name in SettingsUpdate::names() {
        // Five bands are documented as one.
        let name = (1..=5).fold(name, |name, band| name.replace(&format!("band_{band}"), "band_N"));
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/AUDIO.md");
    }
}
