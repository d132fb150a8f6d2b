//! The directories after the first one: overviews and pages, which are passed over, and the mask of the image.

use std::collections::BTreeSet;

use tiff::tags::Tag;

use super::directory::{Directories, Directory};
use super::formats::TRANSPARENCY_MASK;
use super::refused::{REWRITE, Refused};

/// Most directories of a file that are looked through.
const MOST_DIRECTORIES: usize = 10_000;
/// The bits of NewSubfileType that say that a directory is smaller than the image, and that it is a mask.
const REDUCED: u64 = 1;
const MASK: u64 = 4;
/// What ExtraSamples says of an alpha band.
const ALPHA: [u64; 2] = [1, 2];
/// Keeps the pixels and drops the mask. To keep the mask, `gdalwarp` writes it into the pixels.
const DROP_MASK: &str = "-mask none";

/// The mask of the image in the first directory, if the file has one. Directories after one that cannot be read are
/// not looked at, since other programs do not find them either.
///
/// # Errors
/// If there are too many directories or masks, or one that does not say of what it is a mask.
pub(super) fn find_mask(
    file: &Directories<'_>,
    first: &Directory,
    at: u64,
) -> Result<Option<Directory>, Refused> {
    let nested = file.numbers(first, Tag::SubIfd).ok().flatten().unwrap_or_default();
    let mut waiting: Vec<u64> = nested.into_iter().take(MOST_DIRECTORIES).collect();
    waiting.push(first.next);
    let mut seen = BTreeSet::from([0, at]);
    let mut found = None;
    while let Some(offset) = waiting.pop() {
        if !seen.insert(offset) {
            continue;
        }
        if seen.len() > MOST_DIRECTORIES {
            let sentence = format!("a file may have {MOST_DIRECTORIES} directories, found more");
            return Err(Refused::new(sentence, REWRITE));
        }
        let Ok(directory) = file.read(offset) else { continue };
        let value = |tag| file.numbers(&directory, tag).ok().flatten().and_then(|list| list.first().copied());
        let kind = value(Tag::NewSubfileType).unwrap_or(0);
        waiting.push(directory.next);
        let shown = value(Tag::PhotometricInterpretation) == Some(TRANSPARENCY_MASK);
        match (kind & MASK != 0, kind & REDUCED != 0) {
            // The mask of an overview, or an overview.
            (true, true) => {}
            (true, false) if found.is_none() => found = Some(directory),
            (true, false) => {
                let sentence = "tag 254 (NewSubfileType) may say of one directory that it is the mask (4), found several";
                return Err(Refused::new(sentence.to_owned(), DROP_MASK));
            }
            (false, _) if shown => {
                let sentence = format!(
                    "tag 254 (NewSubfileType) of a directory whose tag 262 says mask must say so too (4), found `{kind}` \
                     (`gdalwarp -dstnodata VALUE` keeps the mask as missing pixels, the command drops it)"
                );
                return Err(Refused::new(sentence, DROP_MASK));
            }
            (false, _) => {}
        }
    }
    Ok(found)
}

/// The band of the first directory that says how opaque pixels are: tag 338 (ExtraSamples) calls it associated (1) or
/// unassociated (2) alpha. GDAL takes such a band for the mask of the others in files of two or four bands without a nodata
/// value, if it is the last one; here it hides pixels in any file.
pub(super) fn alpha_band(file: &Directories<'_>, first: &Directory, bands: usize) -> Option<usize> {
    let extra = file.numbers(first, Tag::ExtraSamples).ok().flatten().unwrap_or_default();
    let at = extra.iter().position(|kind| ALPHA.contains(kind))?;
    (bands + at).checked_sub(extra.len())
}

/// Makes missing what a mask hides: the values at its zeros.
pub(crate) fn hide<T: Default + PartialEq>(values: &mut [f32], mask: &[T]) {
    let nothing = T::default();
    let hidden = values.iter_mut().zip(mask).filter(|(_, shown)| **shown == nothing);
    hidden.for_each(|(value, _)| *value = f32::NAN);
}

/// Checks that a mask and a value of missing pixels do not contradict each other: GDAL knows the mask only.
///
/// # Errors
/// If the image has such a value.
pub(super) fn check_nodata(has_nodata: bool) -> Result<(), Refused> {
    if !has_nodata {
        return Ok(());
    }
    let sentence = "tag 42113 (GDAL_NODATA) must not be there beside a mask (tag 254, NewSubfileType, `4`), since it is \
                    unclear which of them counts (`-a_nodata none` instead keeps the mask)";
    Err(Refused::new(sentence.to_owned(), DROP_MASK))
}
