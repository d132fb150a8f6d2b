//! The exit code of a coordinator that ends with an error.

use eosfed_common::exit::{self, FAILED};

use crate::settings::Busy;
use crate::storage::StoreError;

/// The code: whether a service manager should try again.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let transport = error.is::<tonic::transport::Error>();
    let store = error.chain().find_map(|one| one.downcast_ref());
    let store = matches!(store, Some(StoreError::Full | StoreError::Backend(_) | StoreError::Diverged));
    match error.is::<Busy>() || transport || store {
        true => FAILED,
        false => exit::of_start(error.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use eosfed_common::exit::CONFIG;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_full_store_is_tried_again_and_a_newer_one_is_not() {
        let newer = StoreError::Schema { found: "9".to_owned(), expected: 4, advice: "update" };
        for (error, code) in [
            (anyhow::Error::from(StoreError::Full).context("/srv/store"), FAILED),
            (anyhow::Error::from(newer).context("/srv/store"), CONFIG),
            (Busy("/srv".to_owned()).into(), FAILED),
            (anyhow::anyhow!("not a coordinator's state folder"), CONFIG),
        ] {
            assert_eq!(exit_code(&error), code, "{error:#}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_tried_again_and_one_that_is_forbidden_is_not() {
        for (kind, code) in [(ErrorKind::AddrInUse, FAILED), (ErrorKind::PermissionDenied, CONFIG)] {
            let error = Err::<(), _>(Error::from(kind)).context("cannot listen").unwrap_err();
            assert_eq!(exit_code(&error), code, "{kind}");
        }
    }
}
