//! packaging/examples: configurations that the daemons take as they stand, on the open network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use odi_wire::config::PrivateAddresses::Refused;

const DIRECTORY: &str = include_str!("../../packaging/examples/directoryd.toml");
const RELAY: &str = include_str!("../../packaging/examples/relayd.toml");

#[test]
fn both_daemons_take_their_examples() {
    odi_directoryd::Config::parse(DIRECTORY, Refused).unwrap();
    odi_relayd::config::Config::parse(RELAY, Refused).unwrap();
}

#[test]
fn a_mistake_in_either_is_told() {
    assert!(odi_directoryd::Config::parse(&DIRECTORY.replace("origin", "orign"), Refused).is_err());
    assert!(odi_relayd::config::Config::parse(&RELAY.replace("disk", "disc"), Refused).is_err());
}
