//! Uploads and downloads of blobs, in chunks.

use bytes::Bytes;
use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{InstitutionName, LeaseToken};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_server::Blobs;
use eosfed_proto::v1::upload_request::Part;
use eosfed_transport::compression::decompress;
use eosfed_transport::status::to_status;
use eosfed_transport::transfer::CHUNK;
use eosfed_transport::wire::parse;
use tokio::sync::mpsc;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::chunks::Encoded;
use super::pieces::Pieces;
use super::{Context, access, chunks, reply};
use crate::engine::{Core, cpu_permits};
use crate::storage::{BlobError, Presence};

pub(super) struct Service {
    context: Context,
    pieces: Pieces,
}

fn missing(digest: &Digest) -> Refusal {
    Refusal::new(Reason::NotFound, format!("blob {digest} does not exist, or this caller may not read it"))
}

impl Service {
    pub(super) fn new(context: Context) -> Self {
        Self { context, pieces: Pieces::default() }
    }

    fn may_download(&self, caller: &Identity, digest: &Digest) -> Result<(), Refusal> {
        let engine = &self.context.engine;
        let allowed = match caller.role {
            Role::Operator => engine.is_published(digest),
            Role::Reader => engine.is_readable(digest),
            Role::Institution => engine.may_download(&caller.name, digest),
        };
        if allowed { Ok(()) } else { Err(missing(digest)) }
    }

    /// How many bytes of a blob are present for a caller: of its own upload for an institution, of what it
    /// may download for others.
    async fn presence(&self, caller: Identity, digest: Digest) -> Result<Presence, Refusal> {
        match caller.role {
            Role::Institution => {
                let own = async move |core: &Core| core.uploaded(&caller.name, digest).await;
                self.context.engine.call(own).await
            }
            Role::Operator | Role::Reader => match self.may_download(&caller, &digest) {
                Ok(()) => self.whole(digest).await,
                Err(_) => Ok(Presence::Partial(0)),
            },
        }
    }

    /// How many bytes of a blob are here, whoever has sent them.
    async fn whole(&self, digest: Digest) -> Result<Presence, Refusal> {
        self.context.engine.call(async move |core: &Core| Ok(core.blobs().stat("", digest).await?)).await
    }

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<v1::StatResponse, Refusal> {
        let caller = access::caller(&request)?.identity.clone();
        let digest: Digest = parse("digest", &request.into_inner().digest)?;
        let (complete, bytes) = match self.presence(caller, digest).await? {
            Presence::Complete(bytes) => (true, bytes),
            Presence::Partial(bytes) => (false, bytes),
        };
        Ok(v1::StatResponse { complete, bytes, zstd: true })
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Empty<Encoded>>, Refusal> {
        let caller = access::caller(&request)?.identity.clone();
        let v1::DownloadRequest { digest, mut offset } = request.into_inner();
        let digest: Digest = parse("digest", &digest)?;
        self.may_download(&caller, &digest)?;
        if let Presence::Partial(_) = self.whole(digest).await? {
            return Err(BlobError::Missing(digest).into());
        }
        let engine = self.context.engine.clone();
        let download = self.pieces.download(digest);
        // One chunk waits while another is sent: hundreds download at once when a round opens.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let read = |start| {
                    engine.call(async move |core: &Core| Ok(core.blobs().read(digest, start, CHUNK).await?))
                };
                let message = match download.rest_of_piece(offset, read).await {
                    Ok(chunk) if chunk.is_empty() => return,
                    Ok(chunk) => {
                        offset += chunk.len() as u64;
                        Ok(chunk)
                    }
                    Err(refusal) => Err(to_status(&refusal)),
                };
                let last = message.is_err();
                if sender.send(message).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(chunks::answer(receiver))
    }

    async fn upload(&self, request: Request<Streaming<v1::UploadRequest>>) -> Result<u64, Refusal> {
        let caller = access::name(&request)?;
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = next(&mut parts).await? else {
            return Err(Refusal::new(Reason::Malformed, "an upload must begin with its header"));
        };
        let v1::UploadHeader { digest, size, offset } = header;
        let blob = BlobRef { digest: parse("digest", &digest)?, size };
        self.context.engine.may_upload(&caller, size)?;
        let own = Identity::institution(caller.clone());
        if let Presence::Complete(bytes) = self.presence(own, blob.digest).await? {
            return Ok(bytes);
        }
        self.context.disk.check(size.saturating_sub(offset))?;
        let owner = caller.clone();
        let begin = async move |core: &Core| core.begin_upload(&owner, blob, offset);
        let token = self.context.engine.call(begin).await?;
        let stands = self.receive((&caller, &token), blob, offset, &mut parts).await?;
        if stands == size {
            let _permit = cpu_permits::acquire().await;
            let finish = async move |core: &Core| core.finish_upload(&caller, &token, blob).await;
            self.context.engine.call(finish).await?;
        }
        Ok(stands)
    }

    async fn receive(
        &self,
        (caller, token): (&InstitutionName, &LeaseToken),
        blob: BlobRef,
        mut stands: u64,
        parts: &mut Streaming<v1::UploadRequest>,
    ) -> Result<u64, Refusal> {
        // An empty upload must check its offset, too.
        while stands < blob.size {
            let Some(part) = next(parts).await? else { break };
            let chunk = match part {
                Part::Chunk(chunk) => chunk,
                Part::ZstdChunk(frame) => {
                    Bytes::from(decompress(&frame).map_err(|why| Refusal::new(Reason::Malformed, why))?)
                }
                Part::Header(_) => {
                    return Err(Refusal::new(Reason::Malformed, "an upload must have one header only"));
                }
            };
            // Others upload at the same time.
            self.context.disk.check(chunk.len() as u64)?;
            let (owner, token) = (caller.clone(), token.clone());
            let append =
                async move |core: &Core| core.append_upload(&owner, &token, blob, stands, &chunk).await;
            stands = self.context.engine.call(append).await?;
        }
        Ok(stands)
    }
}

async fn next(parts: &mut Streaming<v1::UploadRequest>) -> Result<Option<Part>, Refusal> {
    let message = parts.message().await.map_err(|status| {
        let reason = match status.code() {
            tonic::Code::OutOfRange => Reason::TooLarge,
            _ => Reason::Unavailable,
        };
        Refusal::new(reason, format!("the upload was interrupted: {}", status.message()))
    })?;
    match message {
        None => Ok(None),
        Some(v1::UploadRequest { part: Some(part) }) => Ok(Some(part)),
        Some(v1::UploadRequest { part: None }) => {
            Err(Refusal::new(Reason::Malformed, "each message of an upload must have a header or a chunk"))
        }
    }
}

#[tonic::async_trait]
impl Blobs for Service {
    type DownloadStream = Empty<Encoded>;

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<Response<v1::StatResponse>, Status> {
        reply(Self::stat(self, request).await)
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        Self::download(self, request).await.map_err(|refusal| to_status(&refusal))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        reply(Self::upload(self, request).await.map(|bytes| v1::UploadResponse { bytes }))
    }
}
