//! Where files may lie that images name.

use std::path::Path;

use disk_image::{Folder, OpenFault, Store};

use crate::memory::Memory;
use crate::source::Source;

const OUTSIDE: [&str; 6] = [
    "other/b",
    "point/../other/b",
    "point/../../point/a",
    "../point/a",
    "/point/a",
    "pointed/a",
];

fn assert_keeps_beneath(store: &dyn Store) {
    let open = |folder: &str, path: &str| {
        let file = store.open_beneath(Path::new(folder), Path::new(path))?;
        Ok(file.path().to_path_buf())
    };
    assert_eq!(open("point", "point/a").unwrap(), Path::new("point/a"));
    assert_eq!(open("", "other/b").unwrap(), Path::new("other/b"));
    for path in OUTSIDE {
        let outcome = open("point", path);
        assert!(
            matches!(outcome, Err(OpenFault::Outside)),
            "{path}: {outcome:?}"
        );
    }
    let missing = open("point", "point/c");
    assert!(matches!(missing, Err(OpenFault::Missing)), "{missing:?}");
}

#[test]
fn what_lies_beneath_a_folder_is_told_by_the_store() {
    let mut memory = Memory::default();
    memory.put(&["point/a"], [0; 512]);
    memory.put(&["other/b"], [0; 512]);
    assert_keeps_beneath(&memory);

    let source = Source::new();
    source.write("a", [0; 512]);
    for folder in ["other", "pointed"] {
        std::fs::create_dir(source.root().join(folder)).unwrap();
    }
    std::fs::write(source.root().join("other/b"), [0; 512]).unwrap();
    std::fs::write(source.root().join("pointed/a"), [0; 512]).unwrap();
    std::os::unix::fs::symlink("../other/b", source.file("link")).unwrap();
    let folder = Folder::open(source.root()).unwrap();
    assert_keeps_beneath(&folder);
    let link = folder.open_beneath(Path::new("point"), Path::new("point/link"));
    assert!(matches!(link, Err(OpenFault::Outside)), "{link:?}");
    folder.open(Path::new("point/link")).unwrap();
}
