//! Real geographic databases, in two layouts: what they say of networks that have not moved for decades.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/skip.rs"]
mod skip;

use std::env;
use std::path::PathBuf;

use odi_directoryd::Network;
use odi_directoryd::geography::Database;
use odi_directoryd::whereabouts::{Continent, Whereabouts};
use skip::skip;

/// Networks of universities, and where they are.
const UNIVERSITIES: [(&str, &str, Continent); 5] = [
    ("18.18.0.0", "US", Continent::NorthAmerica),
    ("129.240.2.0", "NO", Continent::Europe),
    ("133.11.0.0", "JP", Continent::Asia),
    ("141.20.1.0", "DE", Continent::Europe),
    ("143.107.0.0", "BR", Continent::SouthAmerica),
];

fn database(name: &str) -> Option<Database> {
    let file =
        env::var_os("ODI_REAL_PACKAGES").map(|folder| PathBuf::from(folder).join("geography").join(name));
    match file.filter(|file| file.exists()) {
        Some(file) => Some(Database::read(&file).unwrap()),
        None => {
            skip(&format!("there is no geography/{name} in ODI_REAL_PACKAGES"));
            None
        }
    }
}

fn look(database: &Database, address: &str) -> Whereabouts {
    database.of(Network::of(address.parse().unwrap()))
}

#[test]
fn a_database_of_countries_knows_universities() {
    let Some(database) = database("geo-whois-asn-country.mmdb") else { return };
    for (address, country, continent) in UNIVERSITIES {
        let found = look(&database, address);
        assert_eq!((found.country, found.continent), (country.parse().ok(), Some(continent)), "{address}");
    }
    assert_eq!(look(&database, "2001:700:100::").country, "NO".parse().ok());
    assert_eq!(look(&database, "127.0.0.1"), Whereabouts::default());
}

#[test]
fn a_database_of_cities_knows_where_in_the_country() {
    let Some(database) = database("GeoLite2-City.mmdb") else { return };
    for (address, country, continent) in UNIVERSITIES {
        let found = look(&database, address);
        assert_eq!((found.country, found.continent), (country.parse().ok(), Some(continent)), "{address}");
        assert!(found.point.is_some(), "{address}");
    }
    let berlin = look(&database, "141.20.1.0").point.unwrap();
    assert!(berlin.lat.abs_diff(5252) < 100 && berlin.lon.abs_diff(1340) < 200, "{berlin:?}");
    assert_eq!(look(&database, "127.0.0.1"), Whereabouts::default());
}
