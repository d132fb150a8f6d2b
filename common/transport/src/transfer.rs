//! Transfer of a blob between a file and the coordinator, by digest and in chunks. It resumes where the last
//! try ended. One call is one try; the caller decides when to try again.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::{
    DownloadRequest, DownloadResponse, StatRequest, StatResponse, UploadHeader, UploadRequest,
    UploadResponse, upload_request,
};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::channel::{FRAME, Transport};
use crate::compression::Compressor;
use crate::status::from_status;

/// Bytes in one message. The coordinator holds two chunks of each upload in memory: one that it writes to the
/// disk and one that arrives. So this size determines the memory of hundreds of concurrent transfers.
pub const CHUNK: usize = 128 << 10;
const _: () = assert!(CHUNK <= FRAME as usize, "a chunk is one frame");

/// Where an upload starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where an earlier try ended: the coordinator is asked for it, and whether it takes compressed chunks. For a
    /// blob that is already there, this is one short call.
    WhereItStands,
    /// At the beginning: nothing was sent of it before. If the coordinator has a part of it all the same, it is asked.
    AtTheBeginning {
        /// Whether the coordinator takes compressed chunks.
        zstd: bool,
    },
}

/// Sends the file to the coordinator. Gives whether the coordinator takes compressed chunks. `guard` is called with the bytes of each chunk, as it is sent, before it is sent. If it gives a sentence, the
/// call is cancelled, and chunks that are already queued are not sent.
///
/// # Errors
/// The coordinator's refusal, [`Reason::Unavailable`] with the guard's sentence, or [`Reason::Internal`]
/// when the file cannot be read.
pub async fn upload(
    transport: Transport,
    path: &Path,
    blob: BlobRef,
    start: Start,
    guard: impl Fn(u64) -> Result<(), String> + Send + Sync,
) -> Result<bool, Refusal> {
    let mut client = BlobsClient::new(transport);
    if let Start::AtTheBeginning { zstd } = start {
        match send(&mut client, path, blob, (0, zstd), &guard).await {
            Err(refusal) if refusal.reason == Reason::OffsetMismatch => {}
            sent => return sent.map(|()| zstd),
        }
    }
    let StatResponse { complete, bytes: offset, zstd } = stat(&mut client, blob.digest).await?;
    if !complete {
        send(&mut client, path, blob, (offset, zstd), &guard).await?;
    }
    Ok(zstd)
}

/// Sends the file from an offset on.
async fn send(
    client: &mut BlobsClient<Transport>,
    path: &Path,
    blob: BlobRef,
    (offset, zstd): (u64, bool),
    guard: &(impl Fn(u64) -> Result<(), String> + Send + Sync),
) -> Result<(), Refusal> {
    let mut file = File::open(path).await.map_err(|error| local(path, &error))?;
    file.seek(SeekFrom::Start(offset)).await.map_err(|error| local(path, &error))?;
    let header = UploadHeader { digest: blob.digest.to_string(), size: blob.size, offset };
    let compressor = Compressor::new(zstd).map_err(|error| local(path, &error))?;
    let (sender, receiver) = mpsc::channel(2);
    let answered =
        async { client.upload(ReceiverStream::new(receiver)).await.map_err(|status| from_status(&status)) };
    // If one of the two fails, the other is cancelled.
    let (answer, ()) = tokio::try_join!(answered, send_parts(file, path, header, compressor, sender, guard))?;
    let UploadResponse { bytes } = answer.into_inner();
    if bytes == blob.size {
        return Ok(());
    }
    let message = format!("{bytes} of {} bytes have arrived; ask for the offset", blob.size);
    Err(Refusal::new(Reason::OffsetMismatch, message))
}

async fn send_parts(
    mut file: File,
    path: &Path,
    header: UploadHeader,
    mut compressor: Compressor,
    sender: mpsc::Sender<UploadRequest>,
    guard: &(impl Fn(u64) -> Result<(), String> + Send + Sync),
) -> Result<(), Refusal> {
    let mut part = upload_request::Part::Header(header);
    // The receiver is gone if the coordinator has refused or the connection was lost.
    while sender.send(UploadRequest { part: Some(part) }).await.is_ok() {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut rest = (&mut file).take(CHUNK as u64);
        rest.read_to_end(&mut chunk).await.map_err(|error| local(path, &error))?;
        if chunk.is_empty() {
            return Ok(());
        }
        let bytes;
        (part, bytes) = compressor.part(chunk).map_err(|error| local(path, &error))?;
        guard(bytes)
            .map_err(|why| Refusal::new(Reason::Unavailable, format!("the upload was cut off: {why}")))?;
    }
    Ok(())
}

/// The file of an unfinished download into `path`.
#[must_use]
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Downloads a blob into `path`, through `path` + `.part`, which a later try continues. Does nothing if
/// `path` already has the digest.
///
/// # Errors
/// The coordinator's refusal; [`Reason::DigestMismatch`] or [`Reason::TooLarge`] if the received bytes are
/// not the blob (the part is then removed); [`Reason::StorageFull`] or [`Reason::Internal`] when it cannot be
/// written.
pub async fn download(transport: Transport, blob: BlobRef, path: &Path) -> Result<(), Refusal> {
    if path.exists() && digest_of(path).await? == blob.digest {
        return Ok(());
    }
    let part = &part_of(path);
    let failed = |error: std::io::Error| local(part, &error);
    let mut file = OpenOptions::new().create(true).append(true).open(part).await.map_err(failed)?;
    let mut have = file.metadata().await.map_err(failed)?.len();
    if have > blob.size {
        file.set_len(0).await.map_err(failed)?;
        have = 0;
    }
    if have < blob.size {
        fetch(transport, blob, have, &mut file, part).await?;
    }
    file.sync_all().await.map_err(failed)?;
    let found = digest_of(part).await?;
    if found != blob.digest {
        tokio::fs::remove_file(part).await.map_err(failed)?;
        let message = format!("received {found}, expected {}; the download starts again", blob.digest);
        return Err(Refusal::new(Reason::DigestMismatch, message));
    }
    tokio::fs::rename(part, path).await.map_err(|error| local(path, &error))
}

/// Downloads a small blob into memory.
///
/// # Errors
/// The coordinator's refusal; [`Reason::TooLarge`] if the blob is announced with, or has, more than `most`
/// bytes; [`Reason::DigestMismatch`] if the received bytes are not the blob.
pub async fn fetch_document(transport: Transport, blob: BlobRef, most: u64) -> Result<Vec<u8>, Refusal> {
    if blob.size > most {
        let message = format!("{} is announced with {} bytes, more than {most}", blob.digest, blob.size);
        return Err(Refusal::new(Reason::TooLarge, message));
    }
    let mut bytes = Vec::new();
    let mut pieces = Pieces::open(transport, blob, 0).await?;
    while let Some(chunk) = pieces.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    let found = Digest::of(&bytes);
    if found == blob.digest {
        return Ok(bytes);
    }
    Err(Refusal::new(Reason::DigestMismatch, format!("received {found}, expected {}", blob.digest)))
}

/// The bytes of a blob as they arrive. More or fewer bytes than announced are an error.
struct Pieces {
    blob: BlobRef,
    have: u64,
    stream: tonic::Streaming<DownloadResponse>,
}

impl Pieces {
    async fn open(transport: Transport, blob: BlobRef, offset: u64) -> Result<Self, Refusal> {
        let request = DownloadRequest { digest: blob.digest.to_string(), offset };
        let mut client = BlobsClient::new(transport);
        let stream = client.download(request).await.map_err(|status| from_status(&status))?.into_inner();
        Ok(Self { blob, have: offset, stream })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Self { blob, have, stream } = self;
        let message = stream.message().await.map_err(|status| from_status(&status))?;
        let Some(DownloadResponse { chunk }) = message else {
            if *have == blob.size {
                return Ok(None);
            }
            let message = format!("the download of {} ended at byte {have} of {}", blob.digest, blob.size);
            return Err(Refusal::new(Reason::Unavailable, message));
        };
        *have += chunk.len() as u64;
        if *have > blob.size {
            let message = format!("more than the {} bytes announced for {}", blob.size, blob.digest);
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        Ok(Some(chunk))
    }
}

async fn fetch(
    transport: Transport,
    blob: BlobRef,
    offset: u64,
    file: &mut File,
    part: &Path,
) -> Result<(), Refusal> {
    let mut pieces = Pieces::open(transport, blob, offset).await?;
    let arrived = loop {
        match pieces.next().await {
            Ok(Some(chunk)) => file.write_all(&chunk).await.map_err(|error| local(part, &error))?,
            Ok(None) => break Ok(()),
            Err(refusal) => break Err(refusal),
        }
    };
    // Bytes that arrived before a failure are kept for the next try.
    file.flush().await.map_err(|error| local(part, &error))?;
    arrived
}

async fn stat(client: &mut BlobsClient<Transport>, digest: Digest) -> Result<StatResponse, Refusal> {
    let request = StatRequest { digest: digest.to_string() };
    Ok(client.stat(request).await.map_err(|status| from_status(&status))?.into_inner())
}

async fn digest_of(path: &Path) -> Result<Digest, Refusal> {
    let owned = path.to_owned();
    let digest = tokio::task::spawn_blocking(move || files::digest(&owned)).await;
    digest.map_err(std::io::Error::other).and_then(|read| read).map_err(|error| local(path, &error))
}

fn local(path: &Path, error: &std::io::Error) -> Refusal {
    let reason = match error.kind() {
        std::io::ErrorKind::StorageFull => Reason::StorageFull,
        _ => Reason::Internal,
    };
    Refusal::new(reason, format!("{}: {error}", path.display()))
}
