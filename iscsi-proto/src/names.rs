//! iSCSI names (RFC 7143 §4.2.7).

use std::fmt;
use std::sync::Arc;

/// Longest iSCSI name in bytes (RFC 7143 §4.2.7.1).
pub const MAX_NAME: usize = 223;

/// This text is not an iSCSI name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an iSCSI name: iqn., eui. or naa. and at most 223 letters, digits, dots, dashes and colons"
)]
pub struct InvalidName;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name as it stands on the wire or in a file; letters become lower case.
            ///
            /// # Errors
            /// [`InvalidName`] when it has another form than RFC 7143 §4.2.7 allows.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                normalized(text).map(|name| Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of an initiator node.
    InitiatorName
}
name! {
    /// The name of a target node.
    TargetName
}

/// Names compare without case, and the form on the wire is lower case (RFC 3722).
///
/// The underscore is outside the standard, but Windows builds names from host names that have it.
fn normalized(text: &str) -> Result<String, InvalidName> {
    if text.len() > MAX_NAME {
        return Err(InvalidName);
    }
    let name = text.to_lowercase();
    let known = ["iqn.", "eui.", "naa."]
        .iter()
        .any(|kind| name.len() > 4 && name.starts_with(kind));
    let plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '_'));
    if known && plain && name.len() <= MAX_NAME {
        Ok(name)
    } else {
        Err(InvalidName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let name = InitiatorName::parse("iqn.1991-05.com.Microsoft:PC_1").unwrap();
        assert_eq!(name.as_str(), "iqn.1991-05.com.microsoft:pc_1");
        assert!(TargetName::parse("eui.02004567A425678D").is_ok());
        assert!(TargetName::parse("naa.52004567BA64678D").is_ok());
        for bad in [
            "",
            "iqn.",
            "foo",
            "iqn.a b",
            "iqn.a\u{1}",
            "iqn.a=b",
            "iqn.2026/x",
        ] {
            assert_eq!(TargetName::parse(bad), Err(InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn length() {
        assert!(TargetName::parse(&format!("iqn.{}", "a".repeat(219))).is_ok());
        assert!(TargetName::parse(&format!("iqn.{}", "a".repeat(220))).is_err());
    }
}
