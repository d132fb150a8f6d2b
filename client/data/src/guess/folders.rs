//! Folders of images below a root, and what their names and those of their files say.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Words in the names of folders of masks.
const MASK_WORDS: [&str; 5] = ["mask", "label", "annotation", "truth", "gt"];
/// Those that are in names of classes too, as in `snow cover`.
const OTHER_WORDS: [&str; 2] = ["target", "cover"];
/// Words in the names of folders of images.
const IMAGE_WORDS: [&str; 2] = ["image", "img"];
/// Folders of masks whose files are compared with those of others.
const COMPARED: usize = 20;

/// Files by the folder that they lie in, relative to the root.
pub(super) type Folders = BTreeMap<PathBuf, Vec<PathBuf>>;

/// Folders whose files have equal names.
pub(super) struct Pairs {
    pub(super) images: Vec<PathBuf>,
    pub(super) masks: PathBuf,
}

/// Whether a folder is named like one of masks or targets. The innermost name that says what it holds counts: `labelled/images`
/// has images.
pub(super) fn is_mask(folder: &Path) -> bool {
    says_masks(folder, |name| has_word(name, &MASK_WORDS) || has_word(name, &OTHER_WORDS))
}

/// Whether its name is one of no class.
pub(super) fn is_surely_mask(folder: &Path) -> bool {
    says_masks(folder, |name| has_word(name, &MASK_WORDS))
}

fn says_masks(folder: &Path, of_masks: impl Fn(&str) -> bool) -> bool {
    let said = folder.iter().rev().find_map(|part| {
        let name = part.to_string_lossy().to_lowercase();
        let of_images = IMAGE_WORDS.iter().any(|word| name.contains(word));
        if of_masks(&name) { Some(true) } else { of_images.then_some(false) }
    });
    said.unwrap_or(false)
}

/// Whether one of the words is in a name. The shortest one is inside of others, as in `washington`, and must stand alone.
fn has_word(name: &str, wanted: &[&str]) -> bool {
    let has =
        |word: &&str| if word.len() < 3 { words(name).any(|own| own == *word) } else { name.contains(*word) };
    wanted.iter().any(has)
}

/// Whether a name is one of masks and of no class: a whole word says so.
pub(super) fn is_no_class(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).any(|own| MASK_WORDS.iter().any(|word| own == *word || own.strip_suffix('s') == Some(word)))
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|character: char| !character.is_alphabetic())
}

fn stems(files: &[PathBuf]) -> BTreeSet<&OsStr> {
    files.iter().filter_map(|file| file.file_stem()).collect()
}

/// Folders named like masks that have images of equal names, with these.
pub(super) fn named_pairs(folders: &Folders) -> Vec<Pairs> {
    let named = folders.keys().filter(|folder| is_mask(folder)).take(COMPARED);
    let pairs = named.map(|masks| Pairs { images: images_of(folders, masks), masks: masks.clone() });
    pairs.filter(|pairs| !pairs.images.is_empty()).collect()
}

/// The same of any folders, where there are few.
pub(super) fn possible_pairs(folders: &Folders) -> Vec<Pairs> {
    if folders.len() > COMPARED {
        return Vec::new();
    }
    let pairs = folders.keys().map(|masks| Pairs { images: images_of(folders, masks), masks: masks.clone() });
    pairs.filter(|pairs| !pairs.images.is_empty()).collect()
}

/// The folders of images of which each has a file of equal name in a folder of masks. If some lie beside it, only these:
/// `train/images` and `test/images` are no bands of one image.
fn images_of(folders: &Folders, masks: &Path) -> Vec<PathBuf> {
    let wanted = stems(&folders[masks]);
    let alike = folders.iter().filter(|(folder, files)| {
        folder.as_path() != masks && !is_mask(folder) && stems(files).is_subset(&wanted)
    });
    let images: Vec<PathBuf> = alike.map(|(folder, _)| folder.clone()).collect();
    let beside: Vec<PathBuf> =
        images.iter().filter(|folder| folder.parent() == masks.parent()).cloned().collect();
    if beside.is_empty() { images } else { beside }
}

/// The outermost folders.
pub(super) fn outermost(folders: &Folders) -> BTreeSet<PathBuf> {
    folders.keys().filter_map(|folder| folder.iter().next().map(PathBuf::from)).collect()
}

/// Whether several folders have images, as those of classes do.
pub(super) fn class_folders(folders: &Folders) -> bool {
    outermost(folders).len() > 1 && !folders.contains_key(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_masks_are_known_by_the_innermost_word() {
        for name in ["masks", "train/Masks", "masks/train", "gt", "x_gt", "landcover", "train_labels/2020"] {
            assert!(is_mask(Path::new(name)), "{name}");
        }
        for name in ["images", "labelled/images", "washington", "s2", "", "masked/img_8bit"] {
            assert!(!is_mask(Path::new(name)), "{name}");
        }
        assert!(["masks", "train labels", "GT", "label_2"].into_iter().all(is_no_class));
        assert!(!["snow cover", "washington", "unmasked", "target"].into_iter().any(is_no_class));
    }
}
