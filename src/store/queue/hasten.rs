//! After the clock was set back: what waits for a time that the old clock gave would wait for as long as the clock was ahead.

use sqlx::SqliteConnection;

use crate::clock::{Timestamp, text};
use crate::store::StoreError;

/// Lets no row wait for its next call beyond `latest`, the longest wait that there can be; and nothing that was written down
/// about it lie after `now`. What its feeder wants with `not_before` stands.
pub(in crate::store) async fn hasten(
    connection: &mut SqliteConnection,
    now: Timestamp,
    latest: Timestamp,
) -> Result<u64, StoreError> {
    let (now, latest) = (text(now), text(latest));
    sqlx::query!(
        r#"UPDATE status
              SET next_attempt_at = (SELECT max(?1, coalesce(not_before, '')) FROM queue WHERE queue.env = status.env)
            WHERE env IN (SELECT env FROM queue WHERE claim IS NULL AND due_at > ?1 AND retry_at > ?1)
              AND finished_at IS NULL"#,
        latest
    )
    .execute(&mut *connection)
    .await?;
    let hastened = sqlx::query!(
        r#"UPDATE queue
              SET retry_at = ?1, due_at = max(?1, coalesce(not_before, '')),
                  failing_since = min(failing_since, ?2), accepted_at = min(accepted_at, ?2)
            WHERE claim IS NULL AND due_at > ?1 AND retry_at > ?1"#,
        latest,
        now
    )
    .execute(connection)
    .await?;
    Ok(hastened.rows_affected())
}
