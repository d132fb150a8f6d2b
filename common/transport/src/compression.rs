//! Chunks of uploads, compressed with zstd (RFC 8878) where that makes them smaller. The coordinator says in the answer
//! to `Stat` that it takes them. What is hashed, stored and resumed are always the bytes of the file itself.

use std::io;

use bytes::Bytes;
use eosfed_proto::v1::upload_request::Part;
use zstd::zstd_safe::get_frame_content_size;

/// Most bytes that a compressed chunk holds: as many as one that is not compressed may have.
pub const MAX_CONTENT: usize = 2 << 20;
/// Updates of all encodings become no smaller at levels 3 and 9, by at most 0.4 %.
const LEVEL: i32 = 1;

/// Makes the chunks of one upload.
pub(crate) struct Compressor(Option<zstd::bulk::Compressor<'static>>);

impl Compressor {
    /// `accepted`: whether the coordinator takes compressed chunks.
    pub(crate) fn new(accepted: bool) -> io::Result<Self> {
        accepted.then(|| zstd::bulk::Compressor::new(LEVEL)).transpose().map(Self)
    }

    /// The part of an upload with these bytes, and its size. It is compressed if that saves at least an eighth of them:
    /// plain weights in 32 bits lose 7 %, which is not worth the coordinator's time.
    pub(crate) fn part(&mut self, chunk: Vec<u8>) -> io::Result<(Part, u64)> {
        if let Some(compressor) = &mut self.0 {
            let frame = compressor.compress(&chunk)?;
            if frame.len() <= chunk.len() - chunk.len() / 8 {
                let size = frame.len() as u64;
                return Ok((Part::ZstdChunk(Bytes::from(frame)), size));
            }
        }
        let size = chunk.len() as u64;
        Ok((Part::Chunk(Bytes::from(chunk)), size))
    }
}

/// The content of a compressed chunk. The work and the memory that it takes follow from the announced size, which is
/// checked first.
///
/// # Errors
/// A sentence, if it is not one frame of zstd that names the size of its content and holds that much, or if that is
/// nothing or above [`MAX_CONTENT`].
pub fn decompress(frame: &[u8]) -> Result<Vec<u8>, String> {
    let announced = get_frame_content_size(frame)
        .ok()
        .flatten()
        .ok_or("a compressed chunk must be a frame of zstd that names the size of its content")?;
    let size =
        usize::try_from(announced).ok().filter(|size| (1..=MAX_CONTENT).contains(size)).ok_or_else(|| {
            format!("the content of a compressed chunk must have 1 to {MAX_CONTENT} bytes, found {announced}")
        })?;
    // A context that is kept for the whole upload would cost a coordinator with hundreds of them 0.1 MB for each.
    let content = zstd::bulk::decompress(frame, size)
        .map_err(|error| format!("a compressed chunk cannot be decompressed: {error}"))?;
    if content.len() == size {
        return Ok(content);
    }
    Err(format!("the content of a compressed chunk is announced with {size} bytes, found {}", content.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of few bits, as updates have them.
    fn content(length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 28) as u8).collect()
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, LEVEL).unwrap()
    }

    #[test]
    fn what_compresses_is_compressed_and_comes_back() {
        let chunk = content(128 << 10);
        let (part, size) = Compressor::new(true).unwrap().part(chunk.clone()).unwrap();
        let Part::ZstdChunk(frame) = part else { panic!("{part:?}") };
        assert_eq!(size, frame.len() as u64);
        assert!(frame.len() < chunk.len() * 6 / 10, "{} of {}", frame.len(), chunk.len());
        assert_eq!(decompress(&frame).unwrap(), chunk);
    }

    #[test]
    fn what_does_not_compress_or_is_not_accepted_stays_as_it_is() {
        let mut state = 1_u32;
        let noise = (0..12_800).map(|_| {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        for (accepted, chunk) in [(true, noise.collect()), (false, content(1000)), (true, vec![7])] {
            let found = Compressor::new(accepted).unwrap().part(chunk.clone()).unwrap();
            let size = chunk.len() as u64;
            assert_eq!(found, (Part::Chunk(Bytes::from(chunk)), size));
        }
    }

    #[test]
    fn a_frame_costs_no_more_than_a_chunk_may_have() {
        assert_eq!(decompress(&frame(&vec![0; MAX_CONTENT])).unwrap().len(), MAX_CONTENT);
        let refused = |bytes: &[u8]| decompress(bytes).map(|content| content.len()).unwrap_err();
        let bomb = frame(&vec![0; MAX_CONTENT + 1]);
        assert!(bomb.len() < 1000);
        assert!(refused(&bomb).ends_with("1 to 2097152 bytes, found 2097153"), "{}", refused(&bomb));
        assert!(refused(&frame(b"")).ends_with("found 0"));
        for foreign in [&b""[..], b"x", b"not a frame of zstd"] {
            assert!(refused(foreign).contains("must be a frame of zstd"), "{}", refused(foreign));
        }
        let whole = frame(&content(1000));
        assert!(refused(&whole[..whole.len() / 2]).contains("cannot be decompressed"));
        // A second frame would be content that is not announced.
        let two = [&whole[..], &bomb].concat();
        assert!(refused(&two).contains("cannot be decompressed"), "{}", refused(&two));
        let mut stream = zstd::stream::Encoder::new(Vec::new(), LEVEL).unwrap();
        io::Write::write_all(&mut stream, b"of no announced size").unwrap();
        assert!(refused(&stream.finish().unwrap()).contains("names the size"));
    }
}
