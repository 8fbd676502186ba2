//! Rewrites words in the bodies of text responses while they stream: a word that is torn between two pieces is found, and
//! nothing is held back but what may still become one.

mod rewriter;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tamis_sdk::prelude::*;

use rewriter::{Rewriter, Words};

/// What a longer one would be is a text, not a word.
const WORD_BYTES_MAX: usize = 256;

/// Fields that speak of the bytes as they were.
const OF_THE_OLD_BODY: [&str; 6] = ["etag", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    words: BTreeMap<String, String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default = "yes")]
    whole_words: bool,
    #[serde(default = "yes")]
    ask_for_plain: bool,
}

fn yes() -> bool {
    true
}

/// The words, and the text in hand: the instance is held until the exchange ends.
#[derive(Debug)]
pub struct WordFilter {
    words: Rc<Words>,
    ask_for_plain: bool,
    text: RefCell<Option<Rewriter>>,
}

impl Filter for WordFilter {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.words.is_empty() {
            return Err(ConfigError::at("words", "expected at least one, found none"));
        }
        for word in config.words.keys() {
            if word.is_empty() || word.len() > WORD_BYTES_MAX {
                let why = format!("expected 1 to {WORD_BYTES_MAX} bytes, found {}", word.len());
                return Err(ConfigError::at(format_args!("words.{word}"), why));
            }
        }
        setup.keep_state();
        Ok(WordFilter {
            words: Rc::new(Words::new(config.words, config.ignore_case, config.whole_words)),
            ask_for_plain: config.ask_for_plain,
            text: RefCell::new(None),
        })
    }
}

impl RequestHook for WordFilter {
    fn on_request(&self, request: &mut Request) -> Verdict {
        // A body that comes packed would pass unread, and of a part of one nobody knows how it begins.
        if self.ask_for_plain {
            request.remove_header("accept-encoding");
            request.remove_header("range");
        }
        Verdict::Next
    }
}

impl ResponseHook for WordFilter {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let text = is_text(response);
        // Whatever the last exchange left here is gone now.
        self.text.replace(text.then(|| Rewriter::new(self.words.clone())));
        if text {
            for name in OF_THE_OLD_BODY {
                response.remove_header(name);
            }
        }
        Verdict::Next
    }
}

impl ResponseChunkHook for WordFilter {
    fn on_response_chunk(&self, _: &mut Response, chunk: Chunk) -> ChunkVerdict {
        match self.text.borrow_mut().as_mut() {
            Some(text) => ChunkVerdict::Replace(text.rewrite(&chunk.bytes, chunk.end)),
            None => ChunkVerdict::Keep,
        }
    }
}

tamis_sdk::export!(WordFilter: request, response, response_chunk);

/// Text, as it is, and the whole of it.
fn is_text(response: &Response) -> bool {
    let begins = |value: HeaderValue, with: &[u8]| {
        value.as_bytes().get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    };
    let text = response.header("content-type").is_some_and(|kind| begins(kind, b"text/"));
    let plain = response.header("content-encoding").is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    text && plain && response.status() != StatusCode::PARTIAL_CONTENT
}
