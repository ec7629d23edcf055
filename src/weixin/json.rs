//! The one reader of Weixin's JSON: what spoils a text or an optional field does not spoil the errcode beside it.

use serde_json::{Map, Value};

/// A JSON object that Weixin sent.
pub(super) struct Object {
    fields: Map<String, Value>,
    /// The number of places where a key `errcode` stands.
    errcodes: usize,
}

impl Object {
    /// Reads a body that is one complete JSON object. Bytes that are not UTF-8, a byte order mark, control characters
    /// inside strings and halves of surrogate pairs are forgiven.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let text = String::from_utf8_lossy(body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let fields = serde_json::from_str(text).or_else(|_| serde_json::from_str(&mended(text)))?;
        let errcodes = text.matches("\"errcode\"").count();
        Ok(Self { fields, errcodes })
    }

    /// The errcode, a number or its text; `Ok(None)` where there is none, an error where it is neither, or where it is 0
    /// and the key stands more than once: of two errcodes that contradict each other none is a success.
    pub(super) fn errcode(&self) -> Result<Option<i64>, &'static str> {
        match self.get("errcode") {
            None => Ok(None),
            Some(value) => match number(value) {
                None => Err("errcode is no whole number"),
                Some(0) if self.errcodes > 1 => Err("errcode stands more than once"),
                number => Ok(number),
            },
        }
    }

    /// The errmsg, whatever its type; empty where there is none.
    pub(super) fn errmsg(&self) -> String {
        match self.get("errmsg") {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The text with control characters inside strings as spaces, and with U+FFFD for halves of surrogate pairs.
fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match c {
            '\\' if inside => escape(rest),
            c if inside && c.is_control() => (" ", c.len_utf8()),
            c => (&rest[..c.len_utf8()], c.len_utf8()),
        };
        inside ^= c == '"';
        mended.push_str(piece);
        rest = &rest[length..];
    }
    mended
}

/// Returns the text that replaces the escape at the start of `text`, and the length of that escape in bytes.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (&text[..12], 12),
        (Some(0xD800..=0xDFFF), _) => ("\\ufffd", 6),
        _ => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        }
    }
}
