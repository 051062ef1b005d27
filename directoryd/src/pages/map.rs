//! Relays on a map of the earth: one circle for all that stand within a degree, the larger the more clients they get.
//!
//! An equirectangular projection in whole degrees: a glance, no chart. Where nobody says where they are, there is no map.

mod land;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::marks;
use super::network::RelayLine;

/// The northernmost and southernmost degree that are shown.
const NORTH: i16 = 84;
const SOUTH: i16 = -56;
/// Hosts that a circle names.
const NAMES_MAX: usize = 6;

/// The relays of one place.
#[derive(Debug, Default)]
struct Circle<'a> {
    hosts: Vec<&'a str>,
    weight: u64,
}

/// The map, if any relay's place is known.
pub(super) fn of(relays: &[RelayLine], weights: u64) -> Option<Markup> {
    let mut circles: BTreeMap<(i16, i16), Circle<'_>> = BTreeMap::new();
    for relay in relays {
        let Some((lat, lon)) = relay.at else { continue };
        let circle = circles.entry(position(lat, lon)).or_default();
        circle.hosts.extend(relay.urls.first().map(|url| marks::host(url)));
        circle.weight = circle.weight.saturating_add(relay.weight);
    }
    if circles.is_empty() {
        return None;
    }
    let placed = relays.iter().filter(|relay| relay.at.is_some()).count();
    Some(html! {
        svg.map viewBox={ "0 0 360 " (NORTH - SOUTH) } role="img" aria-label={ "a map of the earth with " (placed) " relays in " (circles.len()) " places" } {
            path d=(land::OUTLINES) {}
            @for ((x, y), circle) in &circles {
                circle class=[(circle.weight == 0).then_some("unused")] cx=(x) cy=(y) r=(radius(circle.weight, weights)) {
                    title { (named(&circle.hosts)) }
                }
            }
        }
    })
}

/// Where a point, in hundredths of a degree, lies on the map.
const fn position(lat: i16, lon: i16) -> (i16, i16) {
    let (lat, lon) = (lat.div_euclid(100), lon.div_euclid(100));
    let lat = if lat > NORTH { NORTH } else { lat };
    (lon + 180, NORTH - if lat < SOUTH { SOUTH } else { lat })
}

/// Areas are as shares of clients, beside a least that can be seen.
fn radius(weight: u64, weights: u64) -> u64 {
    let area = u128::from(weight) * 64 / u128::from(weights.max(1));
    2 + u64::try_from(area).unwrap_or(64).min(64).isqrt()
}

fn named(hosts: &[&str]) -> String {
    let more = hosts.len().saturating_sub(NAMES_MAX);
    let names: Vec<&str> = hosts.iter().take(NAMES_MAX).copied().collect();
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_the_earth_has_a_place_on_the_map() {
        assert_eq!(position(5252, 1340), (193, 32), "Berlin");
        assert_eq!(position(-3386, 15120), (331, 118), "Sydney");
        for (lat, lon) in [(9000, 18000), (-9000, -18000), (0, 0)] {
            let (x, y) = position(lat, lon);
            assert!((0..=360).contains(&x) && (0..=NORTH - SOUTH).contains(&y), "{lat} {lon}");
        }
    }

    #[test]
    fn there_is_no_map_where_nobody_says_where_they_are() {
        assert!(of(&[], 0).is_none());
    }

    #[test]
    fn a_circle_grows_with_its_share_and_is_never_too_small_to_see() {
        let of = |weight| radius(weight, 400);
        assert_eq!([of(0), of(1), of(100), of(400)], [2, 2, 6, 10]);
        assert_eq!(radius(5, 0), 10);
    }
}
