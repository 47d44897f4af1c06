//! `itemlift init`: makes a state directory.

use std::path::Path;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::config::{first_config, is_host, is_site, machine_name};
use crate::grant::authority::{Authority, AuthorityError};
use crate::grant::credentials::{NoRandomness, random};
use crate::grant::seal::KEY_LEN;
use crate::state_dir::{DATABASE_KEY, StateDir, StateDirError, write_new};

/// Why no state directory was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// No certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The generator failed.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A host name that is none.
    #[error("{0:?} is neither a DNS name nor an address")]
    Host(String),
    /// A site label that cannot be part of a file name.
    #[error("the site label {0:?} is not up to 32 letters, digits, '-' and '.'")]
    Site(String),
}

/// Makes certificates, keys, API token and configuration in `path`. `hosts` are the names that clients reach the server
/// by, the advertised one first; without any it is the machine's name.
///
/// # Errors
/// The directory holds a server already or cannot be written. What was made until then is removed.
pub fn initialise(path: &Path, hosts: &[String], site: &str) -> Result<StateDir, InitError> {
    if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
        return Err(InitError::Host(host.clone()));
    }
    if !is_site(site) {
        return Err(InitError::Site(site.to_owned()));
    }
    let hosts = if hosts.is_empty() {
        vec![machine_name()]
    } else {
        hosts.to_vec()
    };
    let state = StateDir::create(path)?;
    let filled = fill(&state, &hosts, site);
    if filled.is_err() {
        state.discard();
    }
    filled.map(|()| state)
}

fn fill(state: &StateDir, hosts: &[String], site: &str) -> Result<(), InitError> {
    Authority::create(state, Timestamp::now())?;
    let key = Zeroizing::new(random::<KEY_LEN>()?);
    write_new(&state.key(DATABASE_KEY), 0o600, key.as_slice())?;
    let token = Zeroizing::new(random::<32>()?);
    let token: Zeroizing<String> =
        Zeroizing::new(token.iter().map(|byte| format!("{byte:02x}")).collect());
    write_new(&state.token(), 0o600, token.as_bytes())?;
    // Last: its presence says that the rest is there.
    write_new(&state.config(), 0o600, first_config(site, hosts).as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::config::Config;

    #[test]
    fn everything_private_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = initialise(&path, &["recovery.example.com".into()], "berlin").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&state.token()), 0o600);
        for file in std::fs::read_dir(path.join("keys")).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{file:?}");
        }
        assert_eq!(mode(&state.ca()), 0o644);
        let config = Config::load(&state.config()).unwrap();
        assert_eq!(config.site, "berlin");
        assert_eq!(config.portal().to_string(), "recovery.example.com:3260");
        assert!(Authority::load(&state).is_ok());
    }

    #[test]
    fn a_server_is_never_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let state = initialise(&path, &[], "local").unwrap();
        let before = std::fs::read(state.token()).unwrap();
        let again = initialise(&path, &[], "local");
        assert!(matches!(
            again,
            Err(InitError::State(StateDirError::AlreadyInitialised(_)))
        ));
        assert_eq!(std::fs::read(state.token()).unwrap(), before);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        // Found only when the token is to be written, after the certificates.
        std::os::unix::fs::symlink("nowhere", path.join("api.token")).unwrap();
        assert!(initialise(&path, &[], "local").is_err());
        let left: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            left,
            ["api.token"],
            "what was there stays, what was made goes"
        );
    }

    #[test]
    fn a_folder_that_others_read_and_names_that_are_none_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("notes"), "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            initialise(&path, &[], "local"),
            Err(InitError::State(StateDirError::Open { .. }))
        ));
        assert!(!path.join("keys").exists());
        let path = parent.path().join("other");
        assert!(initialise(&path, &["a b".into()], "local").is_err());
        assert!(initialise(&path, &[], "../x").is_err());
        assert!(!path.exists());
    }
}
