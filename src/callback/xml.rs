//! The values of a flat XML document, by a pull parser: nothing is expanded, nothing is looked up, nothing is nested deep.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// What Weixin's documents never hold is refused from this depth on; their root is 1.
const DEEPEST: usize = 8;

/// Why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not well formed, or not of the form of Weixin's.
    Malformed,
    /// It has a document type: entities come from there.
    DocType,
}

/// Reads the values of `names` among the children of the root `<xml>`, plain or in CDATA; `None` for one that is not
/// there. One that is there twice, or holds anything but text, makes the document malformed. Other children are skipped.
pub(super) fn values<const N: usize>(
    text: &[u8],
    names: [&str; N],
) -> Result<[Option<String>; N], Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable::Malformed)?;
    let mut document = Document(Reader::from_str(text));
    document.0.config_mut().expand_empty_elements = true;
    document.root()?;
    let mut values = [const { None }; N];
    while let Some(name) = document.child()? {
        match names.iter().position(|wanted| *wanted == name.name().as_ref()) {
            Some(at) => {
                let value = document.value()?;
                if values[at].replace(value).is_some() {
                    return Err(Unreadable::Malformed);
                }
            }
            None => document.skip()?,
        }
    }
    document.end()?;
    Ok(values)
}

struct Document<'a>(Reader<&'a [u8]>);

impl<'a> Document<'a> {
    fn next(&mut self) -> Result<Event<'a>, Unreadable> {
        match self.0.read_event() {
            Ok(Event::DocType(_)) => Err(Unreadable::DocType),
            Ok(Event::PI(_)) | Err(_) => Err(Unreadable::Malformed),
            Ok(event) => Ok(event),
        }
    }

    /// Goes into the root.
    fn root(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.next()? {
                Event::Start(root) if root.name().as_ref() == "xml" => return Ok(()),
                Event::Text(text) if is_blank(&text) => {}
                Event::Decl(_) | Event::Comment(_) => {}
                _ => return Err(Unreadable::Malformed),
            }
        }
    }

    /// Goes into the next child; `None` at the end of the root.
    fn child(&mut self) -> Result<Option<BytesStart<'a>>, Unreadable> {
        loop {
            match self.next()? {
                Event::Start(child) => return Ok(Some(child)),
                Event::End(_) => return Ok(None),
                Event::Text(text) if is_blank(&text) => {}
                Event::Comment(_) => {}
                _ => return Err(Unreadable::Malformed),
            }
        }
    }

    /// The text of a child, to its end. An entity is never expanded: what holds one has no value.
    fn value(&mut self) -> Result<String, Unreadable> {
        let mut value = String::new();
        loop {
            let text = match self.next()? {
                Event::Text(text) => text.into_inner(),
                Event::CData(text) => text.into_inner(),
                Event::End(_) => return Ok(value.trim().to_owned()),
                Event::Comment(_) => continue,
                _ => return Err(Unreadable::Malformed),
            };
            value.push_str(&text);
        }
    }

    /// Goes on to the end of a child.
    fn skip(&mut self) -> Result<(), Unreadable> {
        let mut depth = 2;
        while depth >= 2 {
            match self.next()? {
                Event::Start(_) if depth == DEEPEST => return Err(Unreadable::Malformed),
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(Unreadable::Malformed),
                _ => {}
            }
        }
        Ok(())
    }

    /// Nothing may follow the root.
    fn end(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.next()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if is_blank(&text) => {}
                Event::Comment(_) => {}
                _ => return Err(Unreadable::Malformed),
            }
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| b" \t\r\n".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<[Option<String>; 2], Unreadable> {
        values(text.as_bytes(), ["A", "B"])
    }

    fn some(a: &str, b: &str) -> Result<[Option<String>; 2], Unreadable> {
        Ok([Some(a.to_owned()), Some(b.to_owned())])
    }

    #[test]
    fn values_come_plain_or_in_cdata_in_any_order_among_others() {
        assert_eq!(
            read("<xml><A>a</A><B><![CDATA[b<>&]]></B></xml>"),
            some("a", "b<>&")
        );
        let spread = "<?xml version=\"1.0\"?>\n<xml>\n  <C><D>x</D>&amp;</C>\n<B>\n b </B><!-- x --><E/>\n<A>1<![CDATA[2]]></A>\n</xml>\n";
        assert_eq!(read(spread), some("12", "b"));
        assert_eq!(read("<xml><A></A><B/></xml>"), some("", ""));
        assert_eq!(read("<xml/>"), Ok([None, None]));
    }

    #[test]
    fn only_children_of_the_root_count() {
        assert_eq!(read("<xml><C><A>a</A></C></xml>"), Ok([None, None]));
    }

    #[test]
    fn a_document_type_is_refused_wherever_it_stands() {
        let bomb = "<!DOCTYPE xml [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><xml><A>&b;</A></xml>";
        assert_eq!(read(bomb), Err(Unreadable::DocType));
        assert_eq!(
            read("<xml><!DOCTYPE xml><A>a</A></xml>"),
            Err(Unreadable::DocType)
        );
        assert_eq!(
            read("<!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml/>"),
            Err(Unreadable::DocType)
        );
    }

    #[test]
    fn what_is_not_of_weixins_form_is_malformed() {
        let deep = format!("<xml>{}{}</xml>", "<C>".repeat(20), "</C>".repeat(20));
        for text in [
            "",
            "a",
            "{}",
            "<xml>",
            "<xml><A>a</A>",
            "<xml><A>a</B></xml>",
            "<xml><A>a</xml>",
            "<xml><A>a</A><A>a</A></xml>",
            "<xml><A><C>a</C></A></xml>",
            "<xml><A>&amp;</A></xml>",
            "<xml><A>&#65;</A></xml>",
            "<xml><A>&unknown;</A></xml>",
            "<xml>text<A>a</A></xml>",
            "<xml><A>a</A></xml><xml/>",
            "<xml><A>a</A></xml>x",
            "<xml><?php x?><A>a</A></xml>",
            "<xml><A><![CDATA[a</A></xml>",
            "<yml><A>a</A></yml>",
            &deep,
        ] {
            assert_eq!(read(text), Err(Unreadable::Malformed), "{text}");
        }
        assert_eq!(
            values(b"<xml><A>\xff</A></xml>", ["A"]),
            Err(Unreadable::Malformed)
        );
    }
}
