//! What is decided about a file before GDAL opens it: where a VRT may point, whether netCDF classic and HDF4 are whole, and
//! whether HDF5 names other files.

use eosfed_data::{Raster, check_before_gdal, write_geotiff};

use crate::folder::file;
use crate::target::Seeds;

/// Files of HDF5 that name no other, and some that do.
const OLD: [u8; 8988] = *include_bytes!("../../../client/data/goldens/hdf5/old-own.h5");
const NEW: [u8; 6172] = *include_bytes!("../../../client/data/goldens/hdf5/new-own.h5");
const MANY: [u8; 7231] = *include_bytes!("../../../client/data/goldens/hdf5/many.h5");
const LINK: [u8; 310] = *include_bytes!("../../../client/data/goldens/hdf5/new-link.h5");
const STORAGE: [u8; 634] = *include_bytes!("../../../client/data/goldens/hdf5/new-storage.h5");
const VIRTUAL: [u8; 6528] = *include_bytes!("../../../client/data/goldens/hdf5/old-virtual.h5");

thread_local! {
    static IMAGES: () = images();
}

/// A file that GDAL would be given. A VRT that is accepted names regular files of its folder only.
pub fn before_gdal(bytes: &[u8]) -> bool {
    IMAGES.with(|()| ());
    let name = match bytes {
        [b'<', ..] => "before.vrt",
        [b'C', ..] => "before.nc",
        [0x89, ..] => "before.h5",
        _ => "before.hdf",
    };
    let path = file(name, bytes);
    match check_before_gdal(&path) {
        Ok(named) => {
            let folder = path.parent().unwrap().canonicalize().unwrap();
            for place in named {
                let place = place.canonicalize().unwrap();
                assert!(place.starts_with(&folder) && place.is_file(), "{}", place.display());
            }
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(name), "it names the file: {said}");
            false
        }
    }
}

/// Writes what a VRT can name.
fn images() {
    let path = file("one.tif", b"");
    let raster = Raster { width: 2, height: 2, bands: 1, data: vec![1.0; 4], reference: None };
    write_geotiff(&path, &raster).unwrap();
    file("two.nc", &classic());
    file("other.vrt", b"<VRTDataset rasterXSize=\"2\" rasterYSize=\"2\"></VRTDataset>");
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A file of netCDF classic: one dimension of 5, a list of attributes, and a variable of shorts after 200 bytes.
fn classic() -> Vec<u8> {
    let name = u32::from_be_bytes(*b"a\0\0\0");
    let mut bytes = [b"CDF\x01".to_vec(), words(&[0, 10, 1, 1, name, 5])].concat();
    bytes.extend(words(&[12, 1, 1, name, 1, 3, 0]));
    bytes.extend(words(&[11, 1, 1, name, 1, 0, 0, 0, 3, 12, 200]));
    bytes.resize(212, 0);
    bytes
}

/// A file of HDF4 with two blocks of descriptors, of which the first has a compressed part.
fn hdf4() -> Vec<u8> {
    let mut bytes = b"\x0e\x03\x13\x01\0\x02".to_vec();
    bytes.extend(words(&[60, 0x02d0_0001, 100, 20, 0x42d0_0002, 110, 4]));
    bytes.resize(60, 0);
    bytes.extend([0, 1]);
    bytes.extend(words(&[0, 0x0001_0000, u32::MAX, u32::MAX]));
    bytes.resize(110, 0);
    bytes.extend([0, 3]);
    bytes.resize(120, 0);
    bytes
}

fn vrt(sources: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<VRTDataset rasterXSize=\"2\" rasterYSize=\"2\"><SRS>EPSG:32633</SRS><GeoTransform>0, 1, 0, 0, \
         0, -1</GeoTransform><VRTRasterBand dataType=\"Float32\" band=\"1\"><NoDataValue>0</NoDataValue>{sources}\
         </VRTRasterBand></VRTDataset>"
    )
}

fn source(relative: u8, name: &str) -> String {
    const RECT: &str = "xOff=\"0\" yOff=\"0\" xSize=\"2\" ySize=\"2\"";
    format!(
        "<SimpleSource><SourceFilename relativeToVRT=\"{relative}\">{name}</SourceFilename><SourceBand>1</SourceBand><SrcRect \
         {RECT}/><DstRect {RECT}/></SimpleSource>"
    )
}

pub(crate) fn seeds() -> Seeds {
    let one = source(1, "one.tif");
    let good = [
        vrt(&one),
        vrt(&format!("{one}{}", source(1, "NETCDF:\"two.nc\":a"))),
        vrt(&one.replace("SimpleSource>", "ComplexSource>")),
    ];
    let mut good: Vec<Vec<u8>> = good.into_iter().map(String::into_bytes).collect();
    good.extend([classic(), hdf4()]);
    good.extend([&OLD[..], &NEW, &MANY].map(<[u8]>::to_vec));
    let names = [
        "../one.tif",
        "/etc/passwd",
        "other.vrt",
        "/vsicurl/http://127.0.0.1:1/a.tif",
        "NETCDF:\"/etc/passwd\":a",
        "ZARR:\"/vsizip/a.zip\":a",
        "HDF4_SDS:UNKNOWN:one.tif:0",
        "one.tif&#0;x",
        "&a;",
    ];
    let named = names.iter().flat_map(|name| [0, 1].map(|relative| vrt(&source(relative, name))));
    let mut odd: Vec<Vec<u8>> = named.map(String::into_bytes).collect();
    odd.extend([&LINK[..], &STORAGE, &VIRTUAL].map(<[u8]>::to_vec));
    odd.extend([
        vrt(&one.repeat(200)).into_bytes(),
        vrt(&"<Metadata>".repeat(5000)).into_bytes(),
        vrt("<!DOCTYPE a [<!ENTITY a \"b\">]>").into_bytes(),
        [b"CDF\x05".to_vec(), vec![0xff; 400]].concat(),
        [b"CDF\x01".to_vec(), words(&[0, 10, 100_000]), vec![0; 40_000]].concat(),
        [b"\x0e\x03\x13\x01\xff\xff\0\0\0\x04".to_vec(), vec![0; 60_000]].concat(),
    ]);
    Seeds { good, odd }
}
