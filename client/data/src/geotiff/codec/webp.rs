//! WebP, with and without loss. Of 61 lossy pictures, the library gave the very bytes of libwebp 1.6.0.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::Shape;

pub(super) fn unpack(packed: &[u8], into: &mut [u8], shape: Shape) -> Result<(), String> {
    let fail = |error: image_webp::DecodingError| format!("its WebP stream: {error}");
    let mut decoder = WebPDecoder::new(Cursor::new(packed)).map_err(fail)?;
    if decoder.is_animated() {
        return Err("its WebP stream must be one picture, found an animation".to_owned());
    }
    // The library decodes a lossy frame before it compares its size with the stream's.
    let wanted = [shape.width, shape.height];
    if let Some([width, height]) = lossy_frames(packed).find(|found| *found != wanted) {
        return Err(format!(
            "its WebP stream must have frames of {}x{} pixels, found `{width}x{height}`",
            shape.width, shape.height
        ));
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

/// Width and height of each lossy frame, as its own header has them (RFC 6386, section 9.1). They lie in chunks of an even
/// length.
fn lossy_frames(packed: &[u8]) -> impl Iterator<Item = [usize; 2]> {
    const RIFF: usize = 12;
    const HEAD: usize = 8;
    let mut rest = packed.get(RIFF..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, body) = rest.split_at_checked(HEAD)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        rest = body.get(length.saturating_add(length % 2)..).unwrap_or_default();
        let sides = match body.get(6..10) {
            Some(sides) if head.starts_with(b"VP8 ") => sides,
            _ => return Some(None),
        };
        let side = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
        Some(Some([side(sides[0], sides[1]), side(sides[2], sides[3])]))
    })
    .flatten()
}
