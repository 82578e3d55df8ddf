//! Reads what a browser recorded: an HTTP Archive 1.2, as far as a target file needs it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Response {
    status: i64,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    params: Vec<Pair>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    encoding: String,
}

/// A header field, a form's field, a cookie.
pub(super) type Named = (String, String);

/// A request that was recorded, with its answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// Scheme, host and port.
    pub(super) origin: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: Vec<Named>,
    pub(super) body: String,
    pub(super) media_type: String,
    pub(super) status: u16,
    pub(super) answer_headers: Vec<Named>,
    pub(super) answer_type: String,
    /// The answer's body, where it is text.
    pub(super) answer: String,
}

/// The calls of an archive in order; those without an HTTP address or an answer are left out.
///
/// # Errors
/// What the text is instead of an archive.
pub(super) fn read(text: &str) -> Result<Vec<Call>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let archive: Archive = serde_json::from_str(text).map_err(|e| {
        format!(
            "expected a HAR file, JSON with the recorded requests in `log.entries`, found {e}; \
             save it from the network view of a browser's developer tools"
        )
    })?;
    Ok(archive.log.entries.into_iter().filter_map(call).collect())
}

fn call(entry: Entry) -> Option<Call> {
    let Entry { request, response } = entry;
    let uri: Uri = request.url.split('#').next()?.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let origin = format!("{scheme}://{}", uri.authority()?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let status = u16::try_from(response.status).ok().filter(|s| (200..=599).contains(s))?;
    let (body, media_type) = request.post_data.map(body).unwrap_or_default();
    let Content { mime_type, text, encoding } = response.content;
    let answer = match encoding.as_str() {
        "base64" => String::from_utf8(STANDARD.decode(text).ok()?).unwrap_or_default(),
        _ => text,
    };
    Some(Call {
        method: request.method.to_uppercase(),
        origin,
        path: path.into(),
        headers: named(request.headers),
        body,
        media_type,
        status,
        answer_headers: named(response.headers),
        answer_type: bare(&mime_type),
        answer,
    })
}

/// A body and its media type. Some browsers record the fields of a form and not its text.
fn body(post: PostData) -> (String, String) {
    let media_type = post.mime_type.trim().to_string();
    let is_form = bare(&media_type) == "application/x-www-form-urlencoded";
    if post.text.is_empty() && is_form {
        let pairs = post.params.iter().map(|p| format!("{}={}", p.name, p.value));
        return (pairs.collect::<Vec<_>>().join("&"), media_type);
    }
    (post.text, media_type)
}

fn named(pairs: Vec<Pair>) -> Vec<Named> {
    // HTTP/2 has the request line in fields such as `:path`.
    let pairs = pairs.into_iter().filter(|pair| !pair.name.starts_with(':'));
    pairs.map(|pair| (pair.name, pair.value)).collect()
}

/// A media type without its parameters, in lower case.
pub(super) fn bare(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_lowercase()
}

/// What is loaded for the looks of a page.
const STATIC_ENDS: [&str; 19] = [
    "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "otf", "mp4", "webm", "wasm",
];

impl Call {
    /// Whether it loads a script, a picture, a font or the like.
    pub(super) fn is_static(&self) -> bool {
        let kind = self.answer_type.as_str();
        let by_type = ["image/", "font/", "audio/", "video/"].iter().any(|k| kind.starts_with(k))
            || ["css", "javascript", "ecmascript", "wasm", "manifest+json"]
                .iter()
                .any(|part| kind.contains(part));
        let end = self.bare_path().rsplit_once('.').map_or("", |(_, end)| end).to_lowercase();
        by_type || self.method == "GET" && STATIC_ENDS.contains(&end.as_str())
    }

    /// The path without its query.
    pub(super) fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The cookies that the request sends.
    pub(super) fn cookies(&self) -> Vec<(&str, &str)> {
        let fields = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let cookies = fields.flat_map(|(_, value)| value.split(';'));
        cookies.filter_map(|cookie| cookie.trim().split_once('=')).collect()
    }

    /// The cookies that the answer sets, those that it deletes left out.
    pub(super) fn new_cookies(&self) -> Vec<(&str, &str)> {
        let fields =
            self.answer_headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        // Several fields of one name may be recorded as one, with line breaks.
        let lines = fields.flat_map(|(_, value)| value.lines());
        let cookies = lines.filter_map(|line| line.split(';').next()?.trim().split_once('='));
        cookies.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The texts of the answer, where it is JSON, by their pointers.
    pub(super) fn answer_texts(&self) -> Vec<Named> {
        let mut found = Vec::new();
        if let Ok(value) = serde_json::from_str(&self.answer) {
            texts(&value, "", &mut found);
        }
        found
    }
}

fn texts(value: &Value, pointer: &str, found: &mut Vec<Named>) {
    match value {
        Value::String(text) => found.push((pointer.into(), text.clone())),
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                texts(value, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                texts(value, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The fields of a body, and whether it is JSON; `None` where it is neither JSON with fields nor a
/// form. What a form has encoded is decoded; what JSON has within JSON is its text.
pub(super) fn fields(media_type: &str, body: &str) -> Option<(Vec<(String, Value)>, bool)> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(body) {
        return Some((fields.into_iter().collect(), true));
    }
    if bare(media_type) != "application/x-www-form-urlencoded" || body.is_empty() {
        return None;
    }
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decode = |(name, value): (&str, &str)| (decoded(name), Value::from(decoded(value)));
    Some((pairs.map(decode).collect(), false))
}

/// Text out of a form (`+` is a space there) or of a path.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(request: &str, response: &str) -> Vec<Call> {
        let entry = format!("{{\"request\":{{{request}}},\"response\":{{{response}}}}}");
        read(&format!("{{\"log\":{{\"version\":\"1.2\",\"entries\":[{entry}]}}}}")).unwrap()
    }

    #[test]
    fn a_call_is_read_with_what_a_browser_leaves_out() {
        let calls = one(
            r#""method":"post","url":"https://h:8443/a?b=c#d",
               "headers":[{"name":":path","value":"/"},{"name":"Cookie","value":"a=1; b=x=y"}],
               "postData":{"mimeType":"application/x-www-form-urlencoded; charset=UTF-8",
               "params":[{"name":"u","value":"a%40b"}]}"#,
            r#""status":302,
               "headers":[{"name":"Set-Cookie","value":"s=1; Path=/\nt=; Max-Age=0"}],
               "content":{"mimeType":"Text/HTML; a=b","text":"aGk=","encoding":"base64"}"#,
        );
        let call = &calls[0];
        assert_eq!((call.method.as_str(), call.origin.as_str()), ("POST", "https://h:8443"));
        assert_eq!((call.path.as_str(), call.bare_path()), ("/a?b=c", "/a"));
        assert_eq!(call.cookies(), [("a", "1"), ("b", "x=y")]);
        assert_eq!(call.new_cookies(), [("s", "1")]);
        assert_eq!((call.answer.as_str(), call.answer_type.as_str()), ("hi", "text/html"));
        let (fields, is_json) = fields(&call.media_type, &call.body).unwrap();
        assert_eq!((fields, is_json), (vec![("u".into(), "a@b".into())], false));
    }

    #[test]
    fn what_has_no_address_or_no_answer_is_left_out() {
        for (url, status) in [("data:text/plain,x", 200), ("ws://h/", 200), ("http://h/", 0)] {
            let request = format!("\"method\":\"GET\",\"url\":\"{url}\"");
            assert_eq!(one(&request, &format!("\"status\":{status}")).len(), 0, "{url}");
        }
    }

    #[test]
    fn what_belongs_to_the_looks_of_a_page_is_told_apart() {
        let is_static = |path: &str, kind: &str| {
            let request = format!("\"method\":\"GET\",\"url\":\"http://h{path}\"");
            let content = format!("\"status\":200,\"content\":{{\"mimeType\":\"{kind}\"}}");
            one(&request, &content)[0].is_static()
        };
        for (path, kind) in
            [("/a.js?v=1", ""), ("/x", "image/png"), ("/x", "text/css"), ("/f.woff2", "x/y")]
        {
            assert!(is_static(path, kind), "{path} {kind}");
        }
        for (path, kind) in [("/me", "application/json"), ("/", "text/html"), ("/v1.2", "")] {
            assert!(!is_static(path, kind), "{path} {kind}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "{}", "[]", "{\"log\":{}}", "{\"log\":{\"entries\":3}}", "<html>"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("expected a HAR file"), "{text}: {error}");
        }
        assert_eq!(read("\u{feff}{\"log\":{\"entries\":[]}}").unwrap().len(), 0);
    }

    #[test]
    fn forms_are_decoded() {
        assert_eq!(decoded("a+b%20%C3%A9%zz%"), "a b é%zz%");
    }
}
