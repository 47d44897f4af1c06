//! What the operator is told when a repository cannot be used.

use std::fs;

use crate::bed::{Bed, config, ids, open, problems, wait_until};

#[test]
fn the_password_is_wrong_or_missing() {
    let bed = Bed::new(2);
    fs::write(bed.password_file(), "s3cr3t\n").unwrap();
    let told = problems(&bed.catalog());
    assert!(
        told.contains("opens none of the repository's keys"),
        "{told}"
    );
    assert!(!told.contains("s3cr3t"), "{told}");
    fs::write(bed.password_file(), "\n").unwrap();
    let told = problems(&bed.catalog());
    assert!(
        told.contains("it is empty") && told.contains("password_file"),
        "{told}"
    );
    fs::remove_file(bed.password_file()).unwrap();
    let told = problems(&bed.catalog());
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn there_is_no_repository() {
    let bed = Bed::without_repository();
    let told = problems(&bed.catalog());
    assert!(told.contains("there is no repository"), "{told}");
    // It may be mounted later.
    let catalog = bed.catalog();
    bed.restic(&["init"]);
    bed.write("disk.raw", [0; 4096]);
    bed.backup("02:00:00", &[]);
    wait_until(&catalog, str::is_empty);
    assert_eq!(ids(&catalog).len(), 1);
}

#[test]
fn nobody_answers() {
    let bed = Bed::without_repository();
    fs::write(bed.password_file(), "x").unwrap();
    // A port where nobody listens.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for repository in [
        format!("rest:http://user:s3cr3t@127.0.0.1:{port}/"),
        format!("s3:http://127.0.0.1:{port}/bucket"),
    ] {
        let source = config(&format!(
            "repository = {repository:?}\npassword_file = {:?}\n{}",
            bed.password_file(),
            match repository.starts_with("s3") {
                true => "options = { access_key_id = 'x', secret_access_key = 's3cr3t' }",
                false => "",
            }
        ));
        let catalog = open(source);
        let told = problems(&catalog);
        assert!(told.contains("config cannot be read"), "{told}");
        assert!(told.contains("tries"), "{told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
}
