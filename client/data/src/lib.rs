//! Reads an institution's imagery, checks it and cuts it into samples.
//!
//! Plain Rust without network and without libtorch, so that a partner can audit and test separately how its
//! data are used. This crate sends nothing. With the feature `gdal` it loads libgdal, for files that it does not
//! decode itself.

mod bandcheck;
mod config;
mod contents;
mod crop;
mod dataset;
mod error;
mod files;
mod formats;
mod gdal_file;
mod georeference;
mod geotiff;
mod guess;
mod image_file;
mod jpeg;
mod open;
mod overwritten;
mod polygons;
mod presence;
mod quicklook;
mod raster;
mod read;
mod reasons;
mod sample;
mod samples;
mod split;
mod statistics;
mod stored;
mod summary;
mod survey;
mod unfinished;
mod xml;

pub use bandcheck::{
    BandReport, BandScaling, Finding, Moments, OpticalUnit, Rule, Scaling, Severity, check_bands,
    compare_moments,
};
pub use config::{
    DatasetConfig, FileBand, Layout, OneOrMany, OtherValues, OwnScaling, OwnScalings, PolygonConfig, Reading,
    SplitBy, SplitConfig, Where, Windows, units_differ,
};
pub use crop::{CropReport, Window, crop};
pub use dataset::{
    Chunks, Dataset, KeptPlace, Loaded, PolygonReport, Valid, baseline_notes, choose_bands, description,
};
pub use error::DataError;
pub use files::has_ending;
pub use formats::{FormatLimits, Formats, formats};
pub use gdal_file::{Content, GdalFormat, check_before_gdal};
pub use georeference::{
    Agreement, Difference, GeoReference, Grid, TOLERANCE as GRID_TOLERANCE, unread_place_file,
};
pub use geotiff::{
    BaselineOffset, Complex, FileScaling, Format, GeoTiff, MAP_TILE, MapBand, MapKind, MapLayout, PutTile,
    WrittenFile, unwritable, write_geotiff, write_map, write_public,
};
pub use guess::{Proposal, propose};
pub use image_file::ImageFile;
pub use overwritten::check_not_overwritten;
pub use presence::missing;
pub use quicklook::{SheetStyle, quicklook};
pub use raster::{Limits, Raster};
pub use read::{read_labels, read_raster};
pub use reasons::ReasonGroup;
pub use sample::{IGNORE, Judged, Sample, Target};
pub use samples::{Origin, Packed, PartFacts, Pixels, SampleCache, SampleSource};
pub use split::Split;
pub use statistics::{BandStatistics, band_statistics};
pub use summary::{
    Look, Summary, TargetPercentiles, TargetStatistics, UnusedFile, fits_encoders, summarise, summarise_with,
};
pub use survey::{BandSurvey, Surveyed};
pub use unfinished::{remove_left_unfinished, remove_unfinished, undisturbed};
pub use xml::escaped;
