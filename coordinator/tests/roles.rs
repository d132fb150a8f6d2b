//! The table of roles is walked: each method of the protocol has a row, and each is called by every role
//! and by nobody, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::collections::BTreeSet;

use bytes::{Buf as _, BufMut as _, Bytes};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::refusal::Reason;
use eosfed_coordinator::domain::member::keys::Key;
use eosfed_coordinator::domain::{Change, Member};
use eosfed_coordinator::grpc::roles::{Callers, TABLE};
use eosfed_coordinator::storage::{SledStore, Store as _, ready};
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use prost_reflect::DescriptorPool;
use server::Server;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

#[test]
fn each_method_of_the_protocol_has_exactly_one_row() {
    let pool = DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let methods = pool.services().flat_map(|service| {
        let name = service.full_name().to_owned();
        service.methods().map(|method| format!("{name}/{}", method.name())).collect::<Vec<_>>()
    });
    let methods: BTreeSet<String> = methods.collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rows.len(), TABLE.len(), "a method has two rows");
    assert_eq!(methods, rows, "give each method a row in the table of roles");
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Calls a method with this body; gives why it was refused, if it was. The kinds of streams do not matter to
/// who may call.
async fn call(transport: Transport, method: &str, body: Bytes) -> Option<Reason> {
    let mut client = tonic::client::Grpc::new(transport);
    client.ready().await.unwrap();
    let path = format!("/{method}").parse().unwrap();
    let answer = client.server_streaming(Request::new(body), path, Raw).await;
    match answer {
        Err(status) => Some(from_status(&status).reason),
        Ok(answer) => answer.into_inner().message().await.err().map(|status| from_status(&status).reason),
    }
}

/// A reader that has enrolled.
async fn with_reader(server: Server) -> (Server, Transport) {
    let reader = Identity { role: Role::Reader, name: "anna".parse().unwrap() };
    let pair = server.certified(&reader, std::time::Duration::from_secs(600));
    let (folder, clients) = server.stop().await;
    let store = SledStore::open(&folder.path().join("state/store")).unwrap();
    let Certificate { fingerprint, not_after, .. } = Certificate::of_pem(&pair.certificate_pem).unwrap();
    let key = Key { fingerprint, expires_at: not_after, authority: None };
    let member = Member::enrolled(reader, Some(key), SystemClock.now());
    ready(store.commit(&Change { members: vec![member], ..Change::default() }, &[])).unwrap();
    drop(store);
    let server = Server::serve(folder, clients).await;
    let reader = server.connect(Some(&pair));
    (server, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_can_call_what_its_row_says_and_nothing_else() {
    let server = Server::start().await;
    server.enrol("west").await;
    let (server, reader) = with_reader(server).await;
    let callers = [
        (None, server.stranger()),
        (Some(Role::Institution), server.client("west")),
        (Some(Role::Operator), server.operator()),
        (Some(Role::Reader), reader),
    ];
    let mut allowed = 0;
    for (method, who) in TABLE {
        for (role, transport) in &callers {
            let may = match who {
                Callers::Anybody => true,
                Callers::Roles(roles) => role.is_some_and(|role| roles.contains(&role)),
            };
            let expected = if role.is_none() { Reason::Unauthenticated } else { Reason::Forbidden };
            // What cannot be decoded: whoever may not call is refused before that shows.
            for body in [Bytes::new(), Bytes::from_static(b"\xff\xff\xff")] {
                let reason = call(transport.clone(), method, body).await;
                let refused = reason == Some(expected);
                assert_eq!(refused, !may, "{method} by {role:?}: {reason:?}");
            }
            allowed += usize::from(may);
        }
    }
    assert!(allowed > TABLE.len(), "{allowed}");
    let unknown = call(server.operator(), "eosfed.v1.Operator/Everything", Bytes::new()).await;
    assert_eq!(unknown, Some(Reason::Incompatible));
}
