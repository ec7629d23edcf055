//! What the platform says: Weixin's refusals, and the HTTP answer that carries a reply.

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use std::time::Duration;

use super::body::{AnswerBody, Cut};

/// How long an oversize body is; more than a client has any reason to read.
const OVERSIZE: usize = 128 * 1024;
/// The piece that an endless body repeats.
const PIECE: usize = 16 * 1024;
/// What a broken off body announces beyond what it has.
const MISSING: usize = 64;

/// An errcode and its errmsg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) i64, pub(super) &'static str);

impl Refusal {
    pub(super) const BUSY: Self = Self(-1, "system error");
    pub(super) const TOKEN_NOT_LATEST: Self = Self(
        40001,
        "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
    );
    pub(super) const APPID_INVALID: Self = Self(40013, "invalid appid");
    pub(super) const TOKEN_INVALID: Self = Self(40014, "invalid access_token");
    pub(super) const ENV_MISSING: Self = Self(40101, "missing parameter");
    pub(super) const SECRET_INVALID: Self = Self(40125, "invalid appsecret");
    pub(super) const TOKEN_MISSING: Self = Self(41001, "access_token missing");
    pub(super) const SECRET_MISSING: Self = Self(41004, "appsecret missing");
    pub(super) const APPID_MISSING: Self = Self(41018, "component_appid missing");
    pub(super) const TOKEN_EXPIRED: Self = Self(42001, "access_token expired");
    pub(super) const NO_POST: Self = Self(43002, "require POST method");
    pub(super) const EMPTY: Self = Self(44002, "empty post data");
    pub(super) const DAILY_QUOTA: Self = Self(45009, "reach max api daily quota limit");
    pub(super) const TOO_FAST: Self = Self(
        45011,
        "api minute-quota reach limit, must slower, retry next minute",
    );
    pub(super) const NO_JSON: Self = Self(47001, "data format error");
    pub(super) const TICKET_EXPIRED: Self = Self(61005, "component ticket is expired");
    pub(super) const TICKET_INVALID: Self = Self(61006, "component ticket is invalid");
}

/// What is put on the wire.
#[derive(Debug)]
pub(super) enum Reply {
    Json(String),
    Slow(String, Duration),
    CutInBody(String),
    Cut,
    Html(u16),
    Redirect(String),
    NoJson,
    Oversize,
    Endless,
}

impl Reply {
    /// Whether the client gets a whole answer.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self, Self::Cut | Self::CutInBody(_) | Self::Endless)
    }

    /// The answer as HTTP, or the cut.
    pub(super) fn into_response(self, content_type: &'static str) -> Result<Response<AnswerBody>, Cut> {
        let json = |body| Ok(response(200, content_type, body));
        match self {
            Self::Json(text) => json(AnswerBody::Whole(text.into())),
            Self::Slow(text, pause) => json(AnswerBody::slow(text.into(), pause)),
            Self::CutInBody(text) => Ok(cut_in_body(&text, content_type)),
            Self::Cut => Err(Cut),
            Self::Html(status) => Ok(page(status)),
            Self::Redirect(location) => Ok(redirect(&location)),
            Self::NoJson => json(AnswerBody::Whole(Bytes::from_static(b"<xml>system error</xml>"))),
            Self::Oversize => json(AnswerBody::Whole(oversize().into())),
            Self::Endless => json(AnswerBody::Endless(" ".repeat(PIECE).into())),
        }
    }
}

fn response(status: u16, content_type: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn page(status: u16) -> Response<AnswerBody> {
    let text = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    response(status, "text/html", AnswerBody::Whole(text.into()))
}

fn redirect(location: &str) -> Response<AnswerBody> {
    let mut response = page(302);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn cut_in_body(text: &str, content_type: &'static str) -> Response<AnswerBody> {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let announced = half.len() + MISSING;
    let mut response = response(200, content_type, AnswerBody::short(half));
    response.headers_mut().insert(CONTENT_LENGTH, announced.into());
    response
}

fn oversize() -> String {
    format!(
        r#"{{"errcode":0,"errmsg":"ok","padding":"{}"}}"#,
        "x".repeat(OVERSIZE)
    )
}
