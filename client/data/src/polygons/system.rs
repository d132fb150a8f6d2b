//! The reference system of a file of polygons, and the way from there to that of an image.

use std::path::Path;

use proj4rs::proj::Proj;
use proj4rs::transform::transform;

use super::boxes::Bounds;

/// Longitude and latitude on WGS 84, which RFC 7946 says of every file.
pub(super) const WGS84: u16 = 4326;
const WEB_MERCATOR: u16 = 3857;
/// The codes of UTM on WGS 84 are these and the zone.
const UTM: [u16; 2] = [32600, 32700];
/// Radius of the sphere of web Mercator in metres.
const MERCATOR_RADIUS: f64 = 6_378_137.0;
/// The end of web Mercator: there its square closes.
const MERCATOR_LATITUDE: f64 = 85.06;
/// How far from the middle of a zone positions are projected, in degrees. A zone has 3 on each side; images reach out of it.
const UTM_REACH: f64 = 20.0;
/// The longest piece of an edge that is projected by its ends, in degrees: its middle is then at most 0.1 m beside the straight
/// line.
const PIECE: f64 = 0.02;
/// Coordinates of a reference system in metres or feet are smaller.
const MOST: f64 = 1e9;

/// The EPSG code that a name of a reference system says: `urn:ogc:def:crs:EPSG::32633`, `EPSG:32633`,
/// `http://www.opengis.net/def/crs/EPSG/0/32633`, or one of OGC's `CRS84`.
pub(super) fn code(name: &str) -> Option<u16> {
    let name = name.trim().to_ascii_uppercase();
    let parts: Vec<&str> = match name.strip_prefix("URN:OGC:DEF:CRS:") {
        Some(rest) => rest.split(':').collect(),
        None => {
            let path = name.strip_prefix("HTTP://").or_else(|| name.strip_prefix("HTTPS://"));
            match path.and_then(|path| path.strip_prefix("WWW.OPENGIS.NET/DEF/CRS/")) {
                Some(rest) => rest.split('/').collect(),
                None => name.split(':').collect(),
            }
        }
    };
    match parts[..] {
        ["OGC", _, "CRS84"] | ["OGC", "CRS84"] => Some(WGS84),
        ["EPSG", code] | ["EPSG", _, code] => code.parse().ok().filter(|code| *code > 0),
        _ => None,
    }
}

/// How positions of a file become those of an image's reference system.
pub(super) enum Way {
    /// Both are one.
    Same { degrees: bool },
    /// From longitude and latitude.
    Projected { project: Projection, reach: Bounds },
}

pub(super) enum Projection {
    /// Universal transverse Mercator, and how positions in degrees are read.
    Utm {
        from: Box<Proj>,
        to: Box<Proj>,
    },
    WebMercator,
}

impl Way {
    /// The way from one reference system to another, by their EPSG codes.
    ///
    /// # Errors
    /// If there is none here.
    pub(super) fn between(from: u16, to: u16) -> Result<Self, String> {
        let no_way =
            || format!("its reference system must be `EPSG:{to}` as the image's, found `EPSG:{from}`");
        if from == to {
            return Ok(Self::Same { degrees: from == WGS84 });
        }
        if from != WGS84 {
            return Err(no_way());
        }
        if to == WEB_MERCATOR {
            let reach = Bounds { low: [-180.0, -MERCATOR_LATITUDE], high: [180.0, MERCATOR_LATITUDE] };
            return Ok(Self::Projected { project: Projection::WebMercator, reach });
        }
        let zone = |base: u16| to.checked_sub(base).filter(|zone| (1..=60).contains(zone));
        let (zone, south) = match UTM.map(zone) {
            [Some(zone), _] => (zone, ""),
            [None, Some(zone)] => (zone, " +south"),
            [None, None] => return Err(no_way()),
        };
        let text = format!("+proj=utm +zone={zone}{south} +datum=WGS84 +units=m +no_defs");
        let read = |text: &str| Proj::from_proj_string(text).map(Box::new).map_err(|error| error.to_string());
        let project =
            Projection::Utm { from: read("+proj=longlat +datum=WGS84 +no_defs")?, to: read(&text)? };
        let middle = f64::from(zone) * 6.0 - 183.0;
        let reach = Bounds { low: [middle - UTM_REACH, -90.0], high: [middle + UTM_REACH, 90.0] };
        Ok(Self::Projected { project, reach })
    }

    /// Checks the box of a polygon as the file has it.
    ///
    /// # Errors
    /// If its coordinates cannot be of the file's reference system.
    pub(super) fn check(&self, bounds: Bounds) -> Result<(), String> {
        let (most, what) = match self {
            Self::Same { degrees: true } | Self::Projected { .. } => {
                // Rounding may move an end of the world.
                ([180.0 + 1e-6, 90.0 + 1e-6], "longitudes within 180 and latitudes within 90 degrees")
            }
            Self::Same { degrees: false } => ([MOST; 2], "coordinates within 1e9"),
        };
        let world = Bounds { low: most.map(|end| -end), high: most };
        if world.holds(bounds) {
            return Ok(());
        }
        let Bounds { low: [west, south], high: [east, north] } = bounds;
        Err(format!("must have {what}, found {west} to {east} and {south} to {north}"))
    }

    /// Whether positions of a polygon with this box can be projected; if not, it lies far from any image.
    ///
    /// # Errors
    /// If some can and others cannot.
    pub(super) fn reaches(&self, bounds: Bounds) -> Result<bool, String> {
        let Self::Projected { reach, .. } = self else { return Ok(true) };
        // The first zone goes on behind the end of the world, and so does the last.
        let mut around = [0.0, -360.0, 360.0].map(|turn| bounds.shifted(turn)).into_iter();
        if around.clone().any(|bounds| reach.holds(bounds)) {
            return Ok(true);
        }
        if !around.any(|bounds| reach.meets(bounds)) {
            return Ok(false);
        }
        let [west, east] = [reach.low[0], reach.high[0]];
        Err(format!(
            "reaches beyond what can be projected, longitudes from {west} to {east} and latitudes from {} to {}; cut it to \
             the images by `-clipsrc`",
            reach.low[1], reach.high[1]
        ))
    }

    /// How many positions a ring has in the image's reference system.
    pub(super) fn positions(&self, ring: &[[f64; 2]]) -> usize {
        match self {
            Self::Same { .. } => ring.len(),
            Self::Projected { .. } => {
                ring.len() + ring.windows(2).map(|edge| pieces(edge[0], edge[1]) - 1).sum::<usize>()
            }
        }
    }

    /// A ring in the image's reference system. Lines that are straight in degrees are bent there, so long ones are divided.
    ///
    /// # Errors
    /// If a position cannot be projected.
    pub(super) fn ring(&self, ring: Vec<[f64; 2]>) -> Result<Vec<[f64; 2]>, String> {
        let Self::Projected { project, .. } = self else { return Ok(ring) };
        let mut projected = Vec::with_capacity(self.positions(&ring));
        let mut last = None;
        for position in ring {
            if let Some(from) = last {
                for between in divided(from, position) {
                    projected.push(project.position(between)?);
                }
            }
            projected.push(project.position(position)?);
            last = Some(position);
        }
        Ok(projected)
    }
}

/// Positions between the ends of an edge in degrees.
fn divided(from: [f64; 2], to: [f64; 2]) -> impl Iterator<Item = [f64; 2]> {
    let pieces = pieces(from, to);
    (1..pieces).map(move |at| {
        let share = at as f64 / pieces as f64;
        [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * share)
    })
}

/// Into how many pieces an edge in degrees is divided, at least one.
fn pieces(from: [f64; 2], to: [f64; 2]) -> usize {
    let length = (to[0] - from[0]).abs().max((to[1] - from[1]).abs());
    (length / PIECE).ceil().max(1.0) as usize
}

impl Projection {
    fn position(&self, [lon, lat]: [f64; 2]) -> Result<[f64; 2], String> {
        let found = match self {
            Self::Utm { from, to } => {
                let mut position = (lon.to_radians(), lat.to_radians(), 0.0);
                let done = transform(from, to, &mut position);
                done.map_err(|error| {
                    format!("longitude {lon} and latitude {lat} cannot be projected: {error}")
                })?;
                [position.0, position.1]
            }
            Self::WebMercator => {
                let stretched = lat.to_radians().sin().atanh();
                [lon.to_radians() * MERCATOR_RADIUS, stretched * MERCATOR_RADIUS]
            }
        };
        if found.iter().all(|number| number.is_finite()) {
            return Ok(found);
        }
        Err(format!("longitude {lon} and latitude {lat} cannot be projected"))
    }
}

/// What is wrong with the place of polygons, and the command that mends it.
pub(super) fn remedy(path: &Path, reason: &str, system: u16) -> String {
    let written = path.with_extension(format!("{system}.geojson"));
    format!(
        "{reason}; name a file with the coordinates of the images, `ogr2ogr -t_srs EPSG:{system} {} {}` (beside `-s_srs` with \
         its true system where the file says another or none)",
        written.display(),
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_systems_are_known_in_each_spelling() {
        for (name, found) in [
            ("urn:ogc:def:crs:OGC:1.3:CRS84", Some(4326)),
            ("urn:ogc:def:crs:OGC::CRS84", Some(4326)),
            ("OGC:CRS84", Some(4326)),
            ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", Some(4326)),
            ("urn:ogc:def:crs:EPSG::32633", Some(32633)),
            ("urn:ogc:def:crs:EPSG:9.9.1:32633", Some(32633)),
            ("EPSG:3035", Some(3035)),
            ("epsg:25832", Some(25832)),
            ("https://www.opengis.net/def/crs/EPSG/0/2154", Some(2154)),
            ("", None),
            ("EPSG:", None),
            ("EPSG:0", None),
            ("EPSG:99999", None),
            ("ESRI:54009", None),
            ("urn:ogc:def:crs,crs:EPSG::25832,crs:EPSG::5783", None),
            ("WGS84", None),
        ] {
            assert_eq!(code(name), found, "{name}");
        }
    }

    /// `cs2cs -f %.3f EPSG:4326 EPSG:CODE` (PROJ 9.1.1) has given these.
    #[test]
    fn positions_are_projected_as_proj_does() {
        for (system, from, to) in GOLDEN {
            let Ok(Way::Projected { project, .. }) = Way::between(WGS84, system) else {
                panic!("EPSG:{system}")
            };
            let found = project.position(from).unwrap();
            for axis in [0, 1] {
                assert!((found[axis] - to[axis]).abs() < 2e-3, "EPSG:{system} {from:?}: {found:?}");
            }
        }
    }

    const GOLDEN: [(u16, [f64; 2], [f64; 2]); 9] = [
        (32633, [15.3, 48.2], [522_292.007, 5_338_573.289]),
        (32633, [9.1, -12.25], [-142_711.900, -1_361_238.047]),
        (32733, [17.9, -33.4], [769_722.618, 6_300_608.101]),
        (32601, [-179.2, 64.5], [394_336.542, 7_154_563.751]),
        (32601, [179.95, 60.0], [329_918.239, 6_655_333.029]),
        (32633, [20.7, 78.1], [631_011.753, 8_675_912.110]),
        (32632, [29.0, 50.0], [1_927_743.775, 5_733_137.340]),
        (3857, [7.5, 47.2], [834_896.181, 5_974_780.482]),
        (3857, [-170.3, -60.1], [-18_957_709.282, -8_422_035.519]),
    ];

    #[test]
    fn there_is_a_way_only_where_no_accuracy_is_lost() {
        for (from, to) in [
            (4326, 3035),
            (4326, 25832),
            (4326, 2154),
            (32632, 32633),
            (3857, 4326),
            (4326, 32600),
            (4326, 32661),
        ] {
            let said = Way::between(from, to).err().unwrap();
            assert!(
                said.contains(&format!("must be `EPSG:{to}`"))
                    && said.contains(&format!("found `EPSG:{from}`")),
                "{said}"
            );
        }
        assert!(
            [(3035, 3035), (4326, 4326), (4326, 32601), (4326, 32760)]
                .into_iter()
                .all(|(from, to)| Way::between(from, to).is_ok())
        );
    }

    #[test]
    fn what_lies_far_away_is_left_out_and_what_reaches_there_is_refused() {
        let way = Way::between(WGS84, 32633).unwrap();
        let at = |west: f64, east: f64| Bounds { low: [west, 40.0], high: [east, 41.0] };
        assert_eq!(
            [at(14.0, 15.0), at(-100.0, -90.0)].map(|bounds| way.reaches(bounds)),
            [Ok(true), Ok(false)]
        );
        let end = Way::between(WGS84, 32601).unwrap();
        let reached =
            [at(179.0, 179.9), at(-180.0, -179.0), at(150.0, 151.0)].map(|bounds| end.reaches(bounds));
        assert_eq!(reached, [Ok(true), Ok(true), Ok(false)]);
        let said = way.reaches(at(14.0, 50.0)).unwrap_err();
        assert!(said.contains("from -5 to 35") && said.contains("-clipsrc"), "{said}");
    }

    #[test]
    fn coordinates_are_those_of_their_system() {
        let metres = Bounds { low: [500_000.0, 4e6], high: [500_100.0, 4.1e6] };
        for to in [4326, 32633] {
            let said = Way::between(WGS84, to).unwrap().check(metres).unwrap_err();
            assert!(said.contains("within 180") && said.contains("500000 to 500100"), "{said}");
        }
        let same = Way::between(32633, 32633).unwrap();
        assert!(same.check(metres).is_ok());
        let huge = Bounds { low: [0.0, -1e10], high: [1.0, 0.0] };
        assert!(same.check(huge).unwrap_err().contains("within 1e9"));
    }

    #[test]
    fn long_edges_are_divided() {
        let way = Way::between(WGS84, 32633).unwrap();
        let ring = way.ring(vec![[14.0, 50.0], [15.0, 50.0], [14.0, 50.0]]).unwrap();
        assert_eq!(ring.len(), 101);
        assert_eq!(way.positions(&[[14.0, 50.0], [15.0, 50.0], [14.0, 50.0]]), 101);
        // A parallel is bent: its middle lies hundreds of metres beside the straight line between its ends.
        let straight = f64::midpoint(ring[0][1], ring[50][1]);
        assert!((ring[25][1] - straight).abs() > 100.0, "{:?} {straight}", ring[25]);
        assert_eq!(divided([0.0, 0.0], [0.01, 0.0]).count(), 0);
    }
}
