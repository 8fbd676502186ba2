//! A behaviour as sdk/conformance.json has it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use tamis_tests::Edge;
use tamis_tests::command::repository;

/// One thing that every SDK promises. Where text stands for bytes, a character is a byte.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Behaviour {
    pub name: String,
    /// For readers.
    pub says: String,
    #[serde(default = "edge")]
    pub listener: String,
    /// Where it can be seen; without it, over every edge.
    pub over: Option<Over>,
    /// For a behaviour of `configure`: a configuration that is refused in these words.
    #[serde(default)]
    pub config: serde_json::Value,
    pub refused: Option<Vec<String>>,
    #[serde(default)]
    pub send: Send,
    #[serde(default)]
    pub answer: Answer,
    /// The steps of each hook.
    #[serde(default, rename = "do")]
    pub steps: BTreeMap<String, Vec<String>>,
    /// The lines of request and response hook, as patterns in which `*` is anything and `?` any one.
    #[serde(default)]
    pub did: Option<Vec<String>>,
    /// All lines, once the exchange is over.
    pub later: Option<Vec<String>>,
    /// What the upstream sees; `null`: nothing.
    #[serde(default = "passed_on")]
    pub upstream: Option<Upstream>,
    #[serde(default)]
    pub client: Client,
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Lines of the proxy's log: the level (or nothing), and words that stand in the line.
    #[serde(default)]
    pub logs: Vec<(String, String)>,
    /// Words that stand in none.
    #[serde(default)]
    pub logs_not: Vec<String>,
    /// How often the filter fails over it.
    #[serde(default)]
    pub fails: u64,
    /// The exchange comes twice for each of so many keys, of which each has an endpoint of its own among two.
    #[serde(default)]
    pub keys: usize,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    Plain,
    Tls,
}

impl Behaviour {
    pub fn is_over(&self, edge: Edge) -> bool {
        self.over.is_none_or(|over| (over == Over::Tls) == edge.tls)
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Send {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// The body is so many of that one after the other, here and below.
    pub times: usize,
    pub trailers: Vec<(String, String)>,
}

impl Default for Send {
    fn default() -> Self {
        Send { method: "GET".to_owned(), target: "/".to_owned(), headers: vec![], body: None, times: 1, trailers: vec![] }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub times: usize,
    pub trailers: Vec<(String, String)>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer { status: 200, headers: vec![], body: "upstream".to_owned(), times: 1, trailers: vec![] }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    pub method: String,
    pub target: String,
    pub authority: Option<String>,
    /// All values of a name.
    pub headers: BTreeMap<String, Vec<String>>,
    pub absent: Vec<String>,
    pub body: String,
    pub times: usize,
    pub trailers: BTreeMap<String, String>,
    /// How often.
    pub asked: usize,
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            method: "GET".to_owned(),
            target: "/".to_owned(),
            authority: None,
            headers: BTreeMap::new(),
            absent: vec![],
            body: String::new(),
            times: 1,
            trailers: BTreeMap::new(),
            asked: 1,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Client {
    Sees(Sees),
    /// `reset`: no answer; `cut`: one that breaks off.
    Ends(String),
}

impl Default for Client {
    fn default() -> Self {
        Client::Sees(Sees::default())
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sees {
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub absent: Vec<String>,
    /// A pattern, unless it comes more than once.
    pub body: String,
    pub times: usize,
    pub trailers: BTreeMap<String, String>,
}

impl Default for Sees {
    fn default() -> Self {
        Sees {
            status: 200,
            headers: BTreeMap::new(),
            absent: vec![],
            body: "upstream".to_owned(),
            times: 1,
            trailers: BTreeMap::new(),
        }
    }
}

fn edge() -> String {
    "edge".to_owned()
}

fn passed_on() -> Option<Upstream> {
    Some(Upstream::default())
}

/// Every behaviour there is.
pub fn behaviours() -> &'static [Behaviour] {
    static ALL: LazyLock<Vec<Behaviour>> = LazyLock::new(|| {
        let text = std::fs::read_to_string(repository().join("sdk/conformance.json")).expect("the list can be read");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("sdk/conformance.json: {error}"))
    });
    &ALL
}

/// A character is a byte.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|one| u8::try_from(u32::from(one)).expect("a character of one byte")).collect()
}
