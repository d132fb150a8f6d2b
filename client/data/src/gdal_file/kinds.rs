//! What a file is, by one look at its first bytes, and which kinds of files GDAL reads.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use image::ImageFormat;

use crate::error::DataError;
use crate::open::{beside, open_regular};

/// What decodes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    GeoTiff,
    Png,
    Jpeg,
    /// GDAL, in a build with it.
    Gdal(GdalKind),
    /// Nothing.
    Unknown,
}

/// A kind of file besides those that this crate decodes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GdalKind {
    Jpeg2000,
    Vrt,
    /// In the container of HDF5.
    NetCdf,
    NetCdfClassic,
    Hdf5,
    Hdf4,
    /// A folder.
    Zarr,
    Envi,
    /// The metadata or the folder of a Sentinel-2 product.
    Safe,
}

/// What is known of a kind of images.
pub(super) struct KindFact {
    pub(super) kind: GdalKind,
    pub(super) name: &'static str,
    /// GDAL's name of what reads it, and of what that hands it on to. Nothing if it is refused in any build.
    pub(super) drivers: &'static [&'static str],
    /// Endings of files of a data set.
    pub(super) endings: &'static [&'static str],
    /// What is read of it, or why it is not.
    pub(super) note: &'static str,
}

const fn fact(
    kind: GdalKind,
    name: &'static str,
    drivers: &'static [&'static str],
    endings: &'static [&'static str],
    note: &'static str,
) -> KindFact {
    KindFact { kind, name, drivers, endings, note }
}

pub(super) const KINDS: [KindFact; 9] = [
    fact(
        GdalKind::Jpeg2000,
        "JPEG 2000",
        &["JP2OpenJPEG"],
        &["jp2", "j2k"],
        "also the bands of a SAFE product of Sentinel-2, file by file",
    ),
    fact(
        GdalKind::Vrt,
        "VRT",
        &["VRT"],
        &["vrt"],
        "of GeoTIFFs and files of this table that lie in its folder or below it, pixel by pixel",
    ),
    fact(
        GdalKind::NetCdf,
        "netCDF-4",
        &["netCDF"],
        &["nc"],
        "with one variable; of several, a VRT beside the file names one",
    ),
    fact(
        GdalKind::NetCdfClassic,
        "netCDF classic",
        &["netCDF"],
        &["nc"],
        "also with offsets or data of 64 bits; with one variable; of several, a VRT beside the file names one",
    ),
    fact(
        GdalKind::Hdf5,
        "HDF5",
        &["HDF5", "HDF5Image"],
        &["h5", "he5", "hdf5"],
        "with one image; of several, a VRT beside the file names one",
    ),
    fact(
        GdalKind::Hdf4,
        "HDF4",
        &["HDF4", "HDF4Image"],
        &["hdf", "hdf4"],
        "with one image of one band, no bytes; of several, a VRT beside the file names one; its scale is not applied",
    ),
    fact(
        GdalKind::Zarr,
        "Zarr",
        &["Zarr"],
        &["zarr"],
        "a folder of version 2 on the disk, with one image; of several, a VRT beside the folder names one",
    ),
    fact(
        GdalKind::Envi,
        "ENVI",
        &["ENVI"],
        &["img", "bsq", "bil", "bip"],
        "with its header (`.hdr`) beside it, not compressed",
    ),
    fact(
        GdalKind::Safe,
        "Sentinel-2 SAFE",
        &[],
        &[],
        "its bands have several sizes of pixels; name its JPEG 2000 files (`…_B02_10m.jp2`), one by one or in a VRT \
         (`gdalbuildvrt -separate`)",
    ),
];

/// A kind of file of vectors.
pub(crate) struct VectorFact {
    pub(crate) name: &'static str,
    /// GDAL's name of what reads it.
    pub(super) driver: &'static str,
    pub(super) ending: &'static str,
    /// What is read of it.
    pub(super) note: &'static str,
    /// Endings of the files beside it that belong to it.
    pub(super) beside: &'static [&'static str],
}

pub(super) const VECTORS: [VectorFact; 2] = [
    VectorFact {
        name: "GeoPackage",
        driver: "GPKG",
        ending: "gpkg",
        note: "polygons as labels, in one layer; `ogr2ogr` makes GeoJSON of it, which every build reads",
        beside: &[],
    },
    VectorFact {
        name: "Shapefile",
        driver: "ESRI Shapefile",
        ending: "shp",
        note: "polygons as labels, with its `.shx`, `.dbf` and `.prj` beside it; `ogr2ogr` makes GeoJSON of it, which every build \
               reads",
        beside: &["shx", "dbf", "prj", "cpg", "SHX", "DBF", "PRJ", "CPG"],
    },
];

/// The kind of a file of vectors, by its ending; `None` for all others.
pub(crate) fn vectors_of(path: &Path) -> Option<&'static VectorFact> {
    VECTORS.iter().find(|fact| has_ending(path, &[fact.ending]))
}

/// The files beside one of vectors that belong to it.
pub(super) fn beside_vectors(path: &Path) -> Vec<PathBuf> {
    let endings = vectors_of(path).map_or(&[][..], |fact| fact.beside);
    endings.iter().map(|ending| path.with_extension(ending)).filter(|file| file.is_file()).collect()
}

const JP2: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
/// A stream of JPEG 2000 without the container.
const JPEG_2000_STREAM: &[u8] = b"\xff\x4f\xff\x51";
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
const HDF4: &[u8] = b"\x0e\x03\x13\x01";
const NETCDF_CLASSIC: &[u8] = b"CDF";
const VRT: &[u8] = b"<VRTDataset";
/// In the first element of a product's metadata, `Level-2A_User_Product`.
const SAFE: &[u8] = b"_User_Product";
const ENVI_HEADER: &[u8] = b"ENVI";
/// Bytes in which a kind is looked for; XML may begin with a declaration.
const HEAD: u64 = 512;

impl FileKind {
    /// The kind of a file, by its first bytes, and by its name where these say nothing.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn of(path: &Path) -> Result<Self, DataError> {
        if let Some(kind) = GdalKind::of_folder(path) {
            return Ok(Self::Gdal(kind));
        }
        let head = beginning(path, open_regular(path)?)?;
        if head.is_empty() {
            return Err(DataError::file(
                path,
                "is empty: it has 0 bytes; copy or write it again, or remove it",
            ));
        }
        let said = image::guess_format(&head).ok();
        let own = said.and_then(Self::own);
        let gdals = || GdalKind::of(path, &head).map(Self::Gdal);
        let named = || ImageFormat::from_path(path).ok().filter(|_| said.is_none()).and_then(Self::own);
        Ok(own.or_else(gdals).or_else(named).unwrap_or(Self::Unknown))
    }

    /// Whether windows of such a file are read.
    pub(crate) const fn has_windows(self) -> bool {
        matches!(self, Self::GeoTiff | Self::Gdal(_))
    }

    /// What this crate decodes itself.
    const fn own(format: ImageFormat) -> Option<Self> {
        match format {
            ImageFormat::Tiff => Some(Self::GeoTiff),
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::Jpeg => Some(Self::Jpeg),
            _ => None,
        }
    }
}

impl GdalKind {
    /// The kind of a folder that is one image; `None` for files and for other folders.
    fn of_folder(path: &Path) -> Option<Self> {
        let kind = if has_ending(path, Self::Zarr.fact().endings) {
            Self::Zarr
        } else if has_ending(path, &["safe"]) {
            Self::Safe
        } else {
            return None;
        };
        path.is_dir().then_some(kind)
    }

    /// The kind of a file that begins so; an ENVI file has no first bytes of its own and is known by its ending and its
    /// header. `None` for all others.
    fn of(path: &Path, head: &[u8]) -> Option<Self> {
        let begins = |with: &[u8]| head.starts_with(with);
        let has = |part: &[u8]| head.windows(part.len()).any(|found| found == part);
        if begins(JP2) || begins(JPEG_2000_STREAM) {
            Some(Self::Jpeg2000)
        } else if begins(HDF5) {
            Some(if has_ending(path, Self::NetCdf.fact().endings) { Self::NetCdf } else { Self::Hdf5 })
        } else if begins(NETCDF_CLASSIC) {
            Some(Self::NetCdfClassic)
        } else if begins(HDF4) {
            Some(Self::Hdf4)
        } else if has(VRT) {
            Some(Self::Vrt)
        } else if has(SAFE) {
            Some(Self::Safe)
        } else if has_ending(path, Self::Envi.fact().endings) && envi_header(path).is_some() {
            Some(Self::Envi)
        } else {
            None
        }
    }

    pub(super) fn fact(self) -> &'static KindFact {
        // Each kind has its line; a test looks.
        KINDS.iter().find(|fact| fact.kind == self).unwrap_or(&KINDS[0])
    }
}

fn beginning(path: &Path, file: File) -> Result<Vec<u8>, DataError> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).map_err(|error| DataError::file(path, error))?;
    Ok(head)
}

/// The header of an ENVI file, which is beside it: `scene.hdr` or `scene.img.hdr`.
pub(super) fn envi_header(path: &Path) -> Option<PathBuf> {
    let is_header = |path: &PathBuf| {
        let head = open_regular(path).and_then(|file| beginning(path, file));
        head.is_ok_and(|head| head.starts_with(ENVI_HEADER))
    };
    [path.with_extension("hdr"), beside(path, ".hdr")].into_iter().find(is_header)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

/// Whether a file has the ending of an image that this build reads through GDAL.
pub(crate) fn has_gdal_ending(path: &Path) -> bool {
    cfg!(feature = "gdal") && has_known_ending(path)
}

/// Whether a path is a folder that is one image.
pub(crate) fn is_image_folder(path: &Path) -> bool {
    GdalKind::of_folder(path) == Some(GdalKind::Zarr)
}

/// Whether a file has the ending of an image that a build with GDAL reads.
pub(crate) fn has_known_ending(path: &Path) -> bool {
    KINDS.iter().any(|fact| has_ending(path, fact.endings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_line() {
        for KindFact { kind, drivers, endings, .. } in &KINDS {
            assert_eq!(kind.fact().kind, *kind);
            assert_eq!(
                drivers.is_empty(),
                endings.is_empty(),
                "what no build reads is no image of a data set"
            );
        }
    }

    #[test]
    fn a_kind_is_known_by_its_first_bytes_and_envi_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            match FileKind::of(&path).unwrap() {
                FileKind::Gdal(kind) => Some(kind),
                _ => None,
            }
        };
        assert_eq!(of("a.dat", &[JP2, b"rest"].concat()), Some(GdalKind::Jpeg2000));
        assert_eq!(of("a.tif", JPEG_2000_STREAM), Some(GdalKind::Jpeg2000));
        assert_eq!(of("a.nc", HDF5), Some(GdalKind::NetCdf));
        assert_eq!(of("a.h5", HDF5), Some(GdalKind::Hdf5));
        assert_eq!(of("b.nc", b"CDF\x01"), Some(GdalKind::NetCdfClassic));
        assert_eq!(of("a.hdf", HDF4), Some(GdalKind::Hdf4));
        assert_eq!(of("a.vrt", b"<?xml version=\"1.0\"?>\n<VRTDataset>"), Some(GdalKind::Vrt));
        assert_eq!(of("a.img", b"numbers"), None, "without a header");
        std::fs::write(folder.path().join("a.hdr"), "ENVI\nsamples = 1").unwrap();
        assert_eq!(of("a.img", b"numbers"), Some(GdalKind::Envi));
        assert_eq!(of("a.img", b"II*\0"), None, "a TIFF is read by this crate, whatever lies beside it");
        assert_eq!(of("a.txt", b"numbers"), None);
        assert_eq!(of("m.xml", b"<?xml?><n1:Level-2A_User_Product xmlns:n1=\"x\">"), Some(GdalKind::Safe));
        assert_eq!(of("a.zarr", b"numbers"), None, "a file");
        for (name, kind) in [("b.zarr", GdalKind::Zarr), ("S2A_MSIL2A.SAFE", GdalKind::Safe)] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            assert_eq!(FileKind::of(&path).unwrap(), FileKind::Gdal(kind));
            assert_eq!(is_image_folder(&path), kind == GdalKind::Zarr);
        }
        assert!(FileKind::of(folder.path()).is_err(), "any other folder");
        assert_eq!(of("short.jp2", &JP2[..11]), None);
        assert!(FileKind::of(&folder.path().join("none.jp2")).is_err());
        std::fs::write(folder.path().join("empty.jp2"), "").unwrap();
        assert!(FileKind::of(&folder.path().join("empty.jp2")).unwrap_err().to_string().contains("0 bytes"));
    }

    #[test]
    fn the_name_decides_where_the_first_bytes_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let png = b"\x89PNG\r\n\x1a\n".as_slice();
        for (name, bytes, kind) in [
            ("a.png", b"II*\0".as_slice(), FileKind::GeoTiff),
            ("a.tif", png, FileKind::Png),
            ("a.dat", b"\xff\xd8\xff", FileKind::Jpeg),
            ("a.png", JP2, FileKind::Gdal(GdalKind::Jpeg2000)),
            ("a.tif", b"I", FileKind::GeoTiff),
            ("a.jpeg", b"numbers", FileKind::Jpeg),
            ("a.tif", b"GIF89a", FileKind::Unknown),
            ("a.gif", b"numbers", FileKind::Unknown),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(FileKind::of(&path).unwrap(), kind, "{name} {bytes:?}");
        }
    }
}
