//! Where somebody is: what a database, or a relay's operator, says of a network. Coarse, possibly wrong, and good for an order alone.

use odi_wire::message::{Country, Prefix, RelayPlace};

mod continents;

pub use continents::Continent;

/// A point on earth, in hundredths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// Latitude, to 9000.
    pub lat: i16,
    /// Longitude, to 18 000.
    pub lon: i16,
}

impl Point {
    /// A point by its degrees, if they are some of the earth's.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no degree of the earth has more than five digits in hundredths"
    )]
    pub fn of_degrees(lat: f64, lon: f64) -> Option<Self> {
        let on_earth = lat.abs() <= 90.0 && lon.abs() <= 180.0;
        on_earth.then(|| Self { lat: (lat * 100.0).round() as i16, lon: (lon * 100.0).round() as i16 })
    }
}

/// Where somebody is, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The country.
    pub country: Option<Country>,
    /// The continent: the country's, where a database says no other.
    pub continent: Option<Continent>,
    /// The point.
    pub point: Option<Point>,
}

impl Whereabouts {
    /// Fills what is not known yet from another source.
    pub fn complete(&mut self, other: Self) {
        self.asn = self.asn.or(other.asn);
        self.country = self.country.or(other.country);
        self.continent = self.continent.or(other.continent);
        self.point = self.point.or(other.point);
    }
}

/// Where a relay is, and whom it is there for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// Networks whose clients it is there for first.
    pub prefixes: Vec<Prefix>,
}

impl Site {
    /// Nobody knows, and for nobody in particular.
    pub const NOWHERE: Self = Self {
        whereabouts: Whereabouts { asn: None, country: None, continent: None, point: None },
        prefixes: Vec::new(),
    };

    /// What a relay's operator says, and where that says nothing what is known of its network.
    #[must_use]
    pub fn of(said: Option<&RelayPlace>, known: Whereabouts) -> Self {
        let Some(said) = said else { return Self { whereabouts: known, prefixes: Vec::new() } };
        let mut whereabouts = Whereabouts {
            asn: said.asn,
            country: said.country,
            continent: said.country.and_then(Continent::of),
            point: said.at.map(|(lat, lon)| Point { lat, lon }),
        };
        // A point of the database's would lie in a country that the operator says it is not in.
        if said.country.is_some() && said.country != known.country {
            whereabouts.asn = whereabouts.asn.or(known.asn);
        } else {
            whereabouts.complete(known);
        }
        Self { whereabouts, prefixes: said.prefixes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_taken_at_their_word_and_a_database_fills_the_rest() {
        let known = Whereabouts {
            asn: Some(680),
            country: "DE".parse().ok(),
            continent: Continent::of("DE".parse().unwrap()),
            point: Point::of_degrees(52.5, 13.4),
        };
        assert_eq!(Site::of(None, known).whereabouts, known);
        let same = RelayPlace { country: "DE".parse().ok(), asn: Some(1), ..RelayPlace::default() };
        assert_eq!(Site::of(Some(&same), known).whereabouts, Whereabouts { asn: Some(1), ..known });
        let other = RelayPlace { country: "JP".parse().ok(), ..RelayPlace::default() };
        let moved = Site::of(Some(&other), known).whereabouts;
        assert_eq!((moved.asn, moved.continent, moved.point), (Some(680), Some(Continent::Asia), None));
    }
}
