//! What the fuzzer looks for (tests/fuzz) holds for what it starts from.

#[path = "../fuzz/checks/all.rs"]
mod checks;

use std::fs;
use std::path::Path;

#[test]
fn every_seed_of_every_fuzz_target_passes_its_check() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (name, check) in checks::ALL {
        let files: Vec<_> = fs::read_dir(seeds.join(name)).unwrap().collect();
        assert!(files.len() >= 5, "{name} has {} seeds", files.len());
        for file in files {
            let path = file.unwrap().path();
            eprintln!("{}", path.display());
            check(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn every_fuzz_target_has_its_seeds_and_its_check() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let targets = manifest.split("[[bin]]\nname = \"").skip(1);
    let targets: Vec<_> = targets.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(targets, checks::ALL.map(|(name, _)| name));
}
