//! Members of a federation.

use eosfed_common::identity::{Identity, Role};
use eosfed_proto::v1;

use super::{Wire, WireError, parse, specified, wrong};

impl Wire for Identity {
    type Message = v1::Member;

    fn from_message(message: v1::Member) -> Result<Self, WireError> {
        let v1::Member { role, name } = message;
        Ok(Self { role: role_of(role)?, name: parse("name", &name)? })
    }

    fn into_message(self) -> v1::Member {
        let Self { role, name } = self;
        v1::Member { role: role_message(role).into(), name: name.to_string() }
    }
}

/// The role in a message.
///
/// # Errors
/// If there is none.
pub fn role_of(role: i32) -> Result<Role, WireError> {
    match specified("role", role)? {
        v1::Role::Unspecified => Err(wrong("role", "a specified value")),
        v1::Role::Institution => Ok(Role::Institution),
        v1::Role::Operator => Ok(Role::Operator),
        v1::Role::Reader => Ok(Role::Reader),
    }
}

/// The role as messages have it.
#[must_use]
pub const fn role_message(role: Role) -> v1::Role {
    match role {
        Role::Institution => v1::Role::Institution,
        Role::Operator => v1::Role::Operator,
        Role::Reader => v1::Role::Reader,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_survive_the_wire_and_a_role_is_required() {
        for role in Role::ALL {
            let identity = Identity { role: *role, name: "ada".parse().unwrap() };
            assert_eq!(Identity::from_message(identity.clone().into_message()), Ok(identity));
        }
        let nobody = v1::Member { role: 0, name: "ada".to_owned() };
        assert_eq!(Identity::from_message(nobody).unwrap_err().field, "role");
    }
}
