//! Where relays count as near: by prefix, autonomous system, country, cells of three sizes, continent.
//!
//! A relay is entered under every name that some client near to it will look under, so that a client's look is a few look-ups
//! however many relays there are.

use odi_wire::message::{Country, Prefix};

use super::Nearness;
use crate::network::Network;
use crate::whereabouts::{Continent, Point, Site, Whereabouts};

/// The edges of cells in hundredths of a degree: 110, 440 and 1700 km. A relay is in its own cell and those around it, and so
/// is everybody at most twice as far from it. Each divides the equator.
const EDGES: [i16; 3] = [100, 400, 1500];
/// Cells are numbered within this circle, in hundredths of a degree.
const CIRCLE: i16 = 18_000;

/// Under which relays and clients meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Vicinity {
    Prefix(Bits),
    System(u32),
    Cell(Option<Country>, Cell),
    Country(Country),
    Continent(Continent),
}

/// The first bits of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits {
    is_v6: bool,
    count: u8,
    value: u64,
}

/// A square of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    edge: i16,
    row: i16,
    column: i16,
}

impl Bits {
    fn of(network: Network, count: u8) -> Option<Self> {
        let (is_v6, bytes, width) = match network {
            Network::V4([a, b, c]) => (false, [0, 0, 0, 0, 0, a, b, c], 24),
            Network::V6([a, b, c, d, e, f]) => (true, [0, 0, a, b, c, d, e, f], 48),
        };
        let value = u64::from_be_bytes(bytes) >> u8::checked_sub(width, count)?;
        Some(Self { is_v6, count, value })
    }

    /// Those that relays with this prefix are entered under.
    fn of_prefix(prefix: &Prefix) -> Option<Self> {
        Self::of(Network::of(prefix.address()), prefix.bits())
    }

    /// How narrow it is, whatever the value.
    pub(super) const fn width(self) -> (bool, u8) {
        (self.is_v6, self.count)
    }
}

impl Cell {
    fn of(point: Point, edge: i16) -> Self {
        Self { edge, row: point.lat.div_euclid(edge), column: point.lon.div_euclid(edge) }.wrapped()
    }

    /// The same column counted from the date line on.
    const fn wrapped(self) -> Self {
        let columns = 2 * (CIRCLE / self.edge);
        Self { column: (self.column + columns / 2).rem_euclid(columns), ..self }
    }

    fn around(self) -> impl Iterator<Item = Self> {
        let columns = 2 * (CIRCLE / self.edge);
        (-1..=1).flat_map(move |down| {
            (-1..=1).map(move |right| Self {
                row: self.row + down,
                column: (self.column + right).rem_euclid(columns),
                ..self
            })
        })
    }
}

/// Everything that a relay is entered under.
pub(super) fn of_relay(site: &Site) -> impl Iterator<Item = Vicinity> {
    let Whereabouts { asn, country, continent, point } = site.whereabouts;
    let cells = point.into_iter().flat_map(|point| EDGES.map(|edge| Cell::of(point, edge)));
    let cells = cells.flat_map(Cell::around).flat_map(move |cell| {
        let in_country = country.map(|country| Vicinity::Cell(Some(country), cell));
        in_country.into_iter().chain([Vicinity::Cell(None, cell)])
    });
    let prefixes = site.prefixes.iter().filter_map(Bits::of_prefix).map(Vicinity::Prefix);
    prefixes
        .chain(asn.map(Vicinity::System))
        .chain(cells)
        .chain(country.map(Vicinity::Country))
        .chain(continent.map(Vicinity::Continent))
}

/// Where a client looks, the nearest first; `widths` are the prefixes that there are, the narrowest first.
pub(super) fn of_client(
    network: Network,
    whereabouts: Whereabouts,
    widths: &[(bool, u8)],
) -> impl Iterator<Item = (Nearness, Vicinity)> {
    let Whereabouts { asn, country, continent, point } = whereabouts;
    let is_v6 = matches!(network, Network::V6(_));
    let prefixes = widths.iter().filter(move |(of_v6, _)| *of_v6 == is_v6);
    let prefixes = prefixes.filter_map(move |(_, count)| Bits::of(network, *count));
    let cells = move |within: Option<Country>| {
        let cells = point.into_iter().flat_map(|point| EDGES.map(|edge| Cell::of(point, edge)));
        cells.map(move |cell| Vicinity::Cell(within, cell))
    };
    let in_country = country.into_iter().flat_map(move |country| cells(Some(country)));
    prefixes
        .map(|bits| (Nearness::Prefix, Vicinity::Prefix(bits)))
        .chain(asn.map(|asn| (Nearness::System, Vicinity::System(asn))))
        .chain(in_country.map(|cell| (Nearness::NearInCountry, cell)))
        .chain(country.map(|country| (Nearness::Country, Vicinity::Country(country))))
        .chain(cells(None).map(|cell| (Nearness::Near, cell)))
        .chain(continent.map(|continent| (Nearness::Continent, Vicinity::Continent(continent))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(lat: f64, lon: f64, country: &str) -> Site {
        let country: Country = country.parse().unwrap();
        let whereabouts = Whereabouts {
            asn: None,
            country: Some(country),
            continent: Continent::of(country),
            point: Point::of_degrees(lat, lon),
        };
        Site { whereabouts, prefixes: Vec::new() }
    }

    fn nearness(client: &Site, relay: &Site) -> Option<Nearness> {
        let entered: Vec<Vicinity> = of_relay(relay).collect();
        let network = Network::of("192.0.2.0".parse().unwrap());
        let widths: Vec<(bool, u8)> = vec![(false, 24), (false, 16)];
        let mut looks = of_client(network, client.whereabouts, &widths);
        looks.find(|(_, vicinity)| entered.contains(vicinity)).map(|(nearness, _)| nearness)
    }

    #[test]
    fn countries_come_before_borders_and_distance_counts_within_both() {
        let strasbourg = site(48.58, 7.75, "FR");
        for (relay, expected) in [
            (site(48.7, 6.2, "FR"), Some(Nearness::NearInCountry)),
            (site(49.0, 8.4, "DE"), Some(Nearness::Near)),
            (site(60.2, 24.9, "FI"), Some(Nearness::Near)),
            (site(-21.1, 55.5, "RE"), None),
            (site(14.6, -61.0, "FR"), Some(Nearness::Country)),
            (site(66.0, 66.6, "FI"), Some(Nearness::Continent)),
        ] {
            assert_eq!(nearness(&strasbourg, &relay), expected, "{relay:?}");
        }
    }

    #[test]
    fn the_date_line_and_the_poles_are_no_walls() {
        let (fiji, samoa) = (site(-17.7, 178.0, "FJ"), site(-13.8, -172.1, "WS"));
        assert_eq!(nearness(&fiji, &samoa), Some(Nearness::Near));
        assert_eq!(nearness(&site(90.0, 180.0, "NO"), &site(90.0, -180.0, "CA")), Some(Nearness::Near));
        assert_eq!(nearness(&site(-90.0, 0.0, "AQ"), &site(90.0, 0.0, "NO")), None);
    }

    #[test]
    fn whoever_is_there_for_a_network_meets_it_and_its_neighbours_only() {
        let served: Prefix = "192.0.0.0/16".parse().unwrap();
        let relay = Site { prefixes: vec![served], ..Site::default() };
        assert_eq!(nearness(&Site::default(), &relay), Some(Nearness::Prefix));
        let other = Site { prefixes: vec!["192.1.0.0/16".parse().unwrap()], ..Site::default() };
        assert_eq!(nearness(&Site::default(), &other), None);
        let six = Site { prefixes: vec!["2001:db8::/32".parse().unwrap()], ..Site::default() };
        assert_eq!(nearness(&Site::default(), &six), None);
    }
}
