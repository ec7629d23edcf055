//! What the fuzz targets check, and what it takes.

#[path = "checks/all.rs"]
pub mod checks;
#[path = "../it/seal.rs"]
#[expect(dead_code, reason = "the tests seal more than this does")]
mod seal;
