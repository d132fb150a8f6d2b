//! Small imagery that can be learned in seconds: two classes that differ in brightness and texture.

use std::fs;
use std::path::Path;

const SIDE: u32 = 32;
const EACH: u8 = 20;

/// Writes a classification data set; another seed gives other pixels.
pub fn classes(folder: &Path, seed: u8) {
    for (class, base) in [("dark", 40_u32), ("bright", 160)] {
        let place = folder.join(class);
        fs::create_dir_all(&place).unwrap();
        for number in 0..EACH {
            let pixel = |x: u32, y: u32| {
                let noise = (x * 31 + y * 17 + u32::from(number) * 101 + u32::from(seed) * 7 + x * y) % 53;
                let value = u8::try_from(base + noise).unwrap();
                image::Rgb([value, value / 2 + seed, 255 - value])
            };
            let picture = image::RgbImage::from_fn(SIDE, SIDE, pixel);
            picture.save(place.join(format!("{seed}-{number}.png"))).unwrap();
        }
    }
    let text = r#"
        task = "classification"
        bands = ["red", "green", "blue"]
        classes = ["dark", "bright"]
        [layout]
        kind = "folders"
        root = "."
        [split]
        by = "digest"
        validation = 0.25
    "#;
    fs::write(folder.join("dataset.toml"), text).unwrap();
}

/// Cuts a file short.
pub fn truncate(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}
