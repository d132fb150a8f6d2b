//! The files that a map consists of, and those that it is made from: none is to be both.

use std::path::PathBuf;

use eosfed_common::card::{CARD_FILE, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::head::HeadFile;
use eosfed_data::check_not_overwritten;

use super::attributes;
use super::options::PredictOptions;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::{read_head, release_folder};
use crate::ensemble::release::Release;

/// Checks that the map of a scene, and what is beside it, replaces none of its inputs.
///
/// # Errors
/// With both files.
pub(super) fn check(options: &PredictOptions) -> Result<(), EnsembleError> {
    let mut read: Vec<PathBuf> = options.images.iter().flatten().cloned().collect();
    read.extend(of_head(options));
    Ok(check_not_overwritten(&written(options), &read)?)
}

/// What is written for the map of a scene.
pub(super) fn written(options: &PredictOptions) -> Vec<PathBuf> {
    let beside = [options.confidence(), options.preview.clone()].into_iter().flatten();
    [options.output.clone(), attributes::path_of(&options.output)].into_iter().chain(beside).collect()
}

/// The files of the head and of its release. What cannot be read here is refused by name where it is opened.
pub(super) fn of_head(options: &PredictOptions) -> Vec<PathBuf> {
    let folder = &options.head;
    let mut files: Vec<PathBuf> = [HeadFile::FILE, HeadFile::WEIGHTS].map(|name| folder.join(name)).into();
    let release = read_head(folder)
        .and_then(|head| release_folder(folder, &head, options.release.as_deref()))
        .and_then(|folder| Release::open(&folder));
    if let Ok(release) = release {
        files.push(release.folder().join(ReleaseManifest::FILE));
        for card in &release.manifest().specialists {
            let folder = release.folder().join(card.name.as_str());
            files.extend([CARD_FILE, WEIGHTS_FILE].map(|name| folder.join(name)));
        }
    }
    files
}
