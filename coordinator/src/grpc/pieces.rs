//! Pieces of blobs that are being downloaded. When a round opens, its institutions download the same weights at about
//! the same time; each piece is then read once and sent to all, so that it is in memory once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use eosfed_common::digest::Digest;
use eosfed_common::refusal::Refusal;
use eosfed_transport::transfer::CHUNK;
use tokio::sync::OnceCell;

/// Pieces that are kept for who comes next: 4 MiB.
const KEPT: usize = 32;

/// The pieces that were read last. Clones are the same. They are forgotten with the last download.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    downloads: usize,
    /// The newest last.
    kept: VecDeque<Piece>,
}

#[derive(Debug)]
struct Piece {
    blob: Digest,
    start: u64,
    /// Filled by the first that reads it, while others wait.
    bytes: Arc<OnceCell<Bytes>>,
}

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a download.
    pub(super) fn download(&self, blob: Digest) -> Download {
        self.lock().downloads += 1;
        Download { pieces: self.clone(), blob }
    }

    fn piece(&self, blob: Digest, start: u64) -> Arc<OnceCell<Bytes>> {
        let kept = &mut self.lock().kept;
        if let Some(piece) = kept.iter().find(|piece| piece.blob == blob && piece.start == start) {
            return Arc::clone(&piece.bytes);
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let bytes = Arc::default();
        kept.push_back(Piece { blob, start, bytes: Arc::clone(&bytes) });
        bytes
    }
}

/// A download under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Download {
    pieces: Pieces,
    blob: Digest,
}

impl Download {
    /// The bytes from `offset` to the end of their piece; none at the end of the blob. `read` gives the whole piece that
    /// begins at this byte, and is called if it is not kept.
    ///
    /// # Errors
    /// As `read`; the next that asks for the piece reads it again.
    pub(super) async fn rest_of_piece<R>(
        &self,
        offset: u64,
        read: impl FnOnce(u64) -> R + Send,
    ) -> Result<Bytes, Refusal>
    where
        R: Future<Output = Result<Vec<u8>, Refusal>> + Send,
    {
        let within = offset % CHUNK as u64;
        let start = offset - within;
        let piece = self.pieces.piece(self.blob, start);
        let bytes = piece.get_or_try_init(|| async { read(start).await.map(Bytes::from) }).await?;
        Ok(bytes.slice(bytes.len().min(within as usize)..))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let mut state = self.pieces.lock();
        state.downloads -= 1;
        if state.downloads == 0 {
            state.kept = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use eosfed_common::refusal::Reason;

    use super::*;

    /// A blob of two and a half pieces, and how often it was read.
    struct Blob(Vec<u8>, AtomicUsize);

    impl Blob {
        fn new() -> Self {
            let bytes = (0..CHUNK * 5 / 2).map(|at| (at / 1000) as u8).collect();
            Self(bytes, AtomicUsize::new(0))
        }

        async fn read(&self, start: u64) -> Result<Vec<u8>, Refusal> {
            self.1.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let rest = &self.0[self.0.len().min(start as usize)..];
            Ok(rest[..rest.len().min(CHUNK)].to_vec())
        }

        /// All bytes from `offset`, as one downloads them.
        async fn whole(&self, download: &Download, offset: usize) -> Vec<u8> {
            let mut found = Vec::new();
            loop {
                let at = (offset + found.len()) as u64;
                let bytes = download.rest_of_piece(at, |start| self.read(start)).await.unwrap();
                if bytes.is_empty() {
                    return found;
                }
                found.extend_from_slice(&bytes);
            }
        }
    }

    #[tokio::test]
    async fn several_downloads_read_each_piece_once_and_each_gets_all_of_it() {
        let (blob, pieces) = (Blob::new(), Pieces::default());
        let digest = Digest::of(b"blob");
        let downloads = [(); 3].map(|()| pieces.download(digest));
        let [a, b, c] = &downloads;
        let (a, b, c) = tokio::join!(blob.whole(a, 0), blob.whole(b, 0), blob.whole(c, CHUNK + 77));
        assert!(a == blob.0 && b == blob.0);
        assert!(c == blob.0[CHUNK + 77..], "resumed within a piece");
        // The third piece is short, so its end asks for what would follow in it.
        assert_eq!(blob.1.load(Ordering::Relaxed), 3);
        let other = pieces.download(Digest::of(b"other"));
        other.rest_of_piece(0, |start| blob.read(start)).await.unwrap();
        assert_eq!(blob.1.load(Ordering::Relaxed), 4, "another blob");
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_ends_with_the_last_download() {
        let pieces = Pieces::default();
        let [one, other] = [(); 2].map(|()| pieces.download(Digest::of(b"blob")));
        for piece in 0..2 * KEPT as u64 {
            one.rest_of_piece(piece * CHUNK as u64, |_| async { Ok(vec![1]) }).await.unwrap();
        }
        assert_eq!(pieces.lock().kept.len(), KEPT);
        drop(one);
        assert_eq!(pieces.lock().kept.len(), KEPT);
        drop(other);
        assert_eq!(pieces.lock().kept.capacity(), 0);
    }

    #[tokio::test]
    async fn a_piece_that_could_not_be_read_is_read_again() {
        let pieces = Pieces::default();
        let download = pieces.download(Digest::of(b"blob"));
        let failed = async |_| Err(Refusal::new(Reason::Internal, "a disk"));
        assert_eq!(download.rest_of_piece(3, failed).await.unwrap_err().reason, Reason::Internal);
        let again = download.rest_of_piece(3, |start| async move { Ok(vec![start as u8, 1, 2, 3]) }).await;
        assert_eq!(&again.unwrap()[..], [3]);
        assert!(
            download.rest_of_piece(9, |_| async { unreachable!("it is kept") }).await.unwrap().is_empty()
        );
    }
}
