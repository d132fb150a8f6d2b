//! World files: six numbers in a text beside an image that say where it lies, without a reference system. They are not
//! read, since a place without its system is none; GDAL puts both into the image.

use std::path::{Path, PathBuf};

/// Endings of world files: those of any image, and of TIFF, PNG and JPEG.
const ENDINGS: [&str; 9] = ["wld", "tfw", "tifw", "tiffw", "pgw", "pngw", "jgw", "jpgw", "jpegw"];

/// Whether a file is a world file by its name.
pub(crate) fn is_world_file(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// The world file that lies beside an image.
fn beside(image: &Path) -> Option<PathBuf> {
    let names = ENDINGS.into_iter().flat_map(|ending| [ending.to_owned(), ending.to_ascii_uppercase()]);
    names.map(|ending| image.with_extension(ending)).find(|file| file.is_file())
}

/// What to know of an image without a georeference of its own that has a world file beside it.
#[must_use]
pub fn unread_world_file(image: &Path) -> Option<String> {
    let world = beside(image)?;
    let placed = image.with_extension("placed.tif");
    Some(format!(
        "{} has no georeference of its own, and the world file beside it, {}, is not read: it names no reference system; \
         `gdal_translate -a_srs EPSG:CODE {} {}` puts both into an image",
        image.display(),
        world.file_name().unwrap_or_default().display(),
        image.display(),
        placed.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_file_is_named_with_the_command_that_puts_it_in() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("scene.tif");
        assert_eq!(unread_world_file(&image), None);
        for name in ["scene.TFW", "scene.wld"] {
            let world = folder.path().join(name);
            std::fs::write(&world, "10\n0\n0\n-10\n500005\n5299995\n").unwrap();
            assert!(is_world_file(&world));
            let said = unread_world_file(&image).unwrap();
            for part in
                [name, "scene.tif has no georeference", "gdal_translate -a_srs EPSG:CODE", "scene.placed.tif"]
            {
                assert!(said.contains(part), "{part}: {said}");
            }
            std::fs::remove_file(world).unwrap();
        }
        assert!(!is_world_file(&image) && !is_world_file(Path::new("tfw")));
    }
}
