//! How the database is opened and made.

use super::scratch::Scratch;
use super::*;

#[tokio::test]
async fn each_connection_is_as_durable_and_as_discreet_as_the_documents_say() {
    let scratch = Scratch::new().await;
    for (access, query_only) in [(Access::Read, true), (Access::Write, false)] {
        let mut connection = connect(scratch.store.path(), access).await.unwrap();
        for (pragma, expected) in [
            // FULL, FAST, bytes, KiB, milliseconds.
            ("synchronous", 2),
            ("secure_delete", 2),
            ("journal_size_limit", 16 * 1024 * 1024),
            ("cache_size", -2000),
            ("busy_timeout", 5000),
        ] {
            let value: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}")))
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
        let write = sqlx::query("UPDATE service SET paused = 1")
            .execute(&mut connection)
            .await;
        assert_eq!(write.is_err(), query_only);
    }
}

#[tokio::test]
async fn only_who_creates_makes_a_file_and_it_is_the_groups_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    for access in [Access::Read, Access::Write] {
        let error = connect(&path, access).await.unwrap_err();
        assert!(error.to_string().contains("queue.db cannot be opened"), "{error}");
        assert!(!path.exists());
    }
    migrate(&path).await.unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // One that is there stays as it is.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    migrate(&path).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The file is in write-ahead mode whoever opens it: two bytes of its header say so.
    assert_eq!(std::fs::read(&path).unwrap()[18..20], [2, 2]);
}

#[tokio::test]
async fn where_no_file_can_be_made_the_reason_is_the_systems_own() {
    let directory = tempfile::tempdir().unwrap();
    let error = migrate(&directory.path().join("nowhere/queue.db"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("No such file or directory"), "{error}");
}

#[test]
fn a_library_is_old_before_3_51_3() {
    for (version, old) in [
        ("3.51.2", true),
        ("3.51.3", false),
        ("3.51.10", false),
        ("3.52.0", false),
        ("3.9.99", true),
        ("4.0", false),
        ("nonsense", true),
    ] {
        assert_eq!(is_old(version), old, "{version}");
    }
}
