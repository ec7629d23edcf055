//! What a client is told: the token, or why there is none, or what it may ask.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::LARGEST_BODY;
use crate::clock::{Timestamp, between, text};
use crate::credential::Token;
use crate::server::Reason;
use crate::token::Trouble;

pub(super) const NO_TOKEN: &str =
    "the body must be JSON: {\"component_access_token\": \"<the one that Weixin refused>\"}";
pub(super) const TOO_LARGE: &str = "the body must have at most 8 KiB";
const WRONG_PATH: &str = "there are GET /component_access_token and POST /component_access_token/reject";
const WRONG_METHOD: &str =
    "GET /component_access_token reads the token, POST /component_access_token/reject rejects one";
const COMING: &str = "a new token is being fetched; ask again in a second";
const TOO_EARLY: &str = "new tokens are fetched only now and then, and the token that Weixin refused may be good: other calls go on \
     with it; wait as Retry-After says, GET the token again, and call again";

const _: () = assert!(LARGEST_BODY == 8 * 1024, "TOO_LARGE says so");

#[derive(Serialize)]
struct Lent<'a> {
    component_access_token: &'a str,
    /// Whole seconds that are left.
    expires_in: u64,
    expires_at: String,
}

#[derive(Serialize)]
struct Lacking<'a> {
    reason: &'a str,
    remedy: Option<&'a str>,
}

#[derive(Serialize)]
struct Refused {
    reason: &'static str,
}

/// 200: the token.
pub(super) fn lent(token: &Token, now: Timestamp) -> Response {
    let lent = Lent {
        component_access_token: token.expose(),
        expires_in: between(now, token.expires_at).as_secs(),
        expires_at: text(token.expires_at),
    };
    json(StatusCode::OK, &lent)
}

/// 503: there is none, and why.
pub(super) fn lacking(trouble: Option<&Trouble>) -> Response {
    let lacking = Lacking {
        reason: trouble.map_or(COMING, |trouble| &trouble.reason),
        remedy: trouble.and_then(|trouble| trouble.remedy.as_deref()),
    };
    json(StatusCode::SERVICE_UNAVAILABLE, &lacking)
}

/// 503 with `Retry-After`: a new token is not fetched for this client before `wait` is over.
pub(super) fn too_early(wait: Duration) -> Response {
    let lacking = Lacking {
        reason: TOO_EARLY,
        remedy: None,
    };
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &lacking);
    // Up to the next full second: who asks then is not too early again.
    let seconds = wait.as_secs().saturating_add(1);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 4xx: what is allowed, without anything of what came.
pub(super) fn refused(status: StatusCode, reason: &'static str) -> Response {
    let mut response = json(status, &Refused { reason });
    // For the log.
    response.extensions_mut().insert(Reason(reason));
    response
}

pub(super) fn wrong_path() -> Response {
    refused(StatusCode::NOT_FOUND, WRONG_PATH)
}

pub(super) fn wrong_method(allowed: &'static str) -> Response {
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, WRONG_METHOD);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    // Structs of texts and numbers always serialize.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}
