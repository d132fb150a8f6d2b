//! WebP without loss. What lossy WebP shows depends on its decoder.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::Shape;

pub(super) fn unpack(packed: &[u8], into: &mut [u8], shape: Shape) -> Result<(), String> {
    let fail = |error: image_webp::DecodingError| format!("its WebP stream: {error}");
    let mut decoder = WebPDecoder::new(Cursor::new(packed)).map_err(fail)?;
    if decoder.is_lossy() || decoder.is_animated() {
        return Err("its WebP stream must be without loss, found lossy or animated".to_owned());
    }
    let (width, height) = decoder.dimensions();
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    let found = [width as usize, height as usize, samples];
    let size = [found[0], found[1]] == [shape.width, shape.height];
    match (samples, shape.samples) {
        (3, 3) | (4, 4) if size => decoder.read_image(into).map_err(fail),
        // Without any transparency, the stream has no opacity.
        (3, 4) if size => {
            let mut colours = vec![0; shape.width * shape.height * 3];
            decoder.read_image(&mut colours).map_err(fail)?;
            for (pixel, colour) in into.chunks_exact_mut(4).zip(colours.chunks_exact(3)) {
                pixel[..3].copy_from_slice(colour);
                pixel[3] = u8::MAX;
            }
            Ok(())
        }
        _ => Err(format!(
            "its WebP stream must have {}x{} pixels and {} bands, found `{}x{}` and `{samples}`",
            shape.width, shape.height, shape.samples, found[0], found[1]
        )),
    }
}
