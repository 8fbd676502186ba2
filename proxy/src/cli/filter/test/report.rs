//! What a test shows: the hooks in order with what each changed, what reached the services, what the client got.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use super::lab::{Lab, Ran};
use crate::cli::filter::say::{self, Paint};
use crate::filter::witness::{self, Event, Fields};
use crate::filter::{Hook, Verdict};

/// Bytes of a body that are shown to people.
const BODY_SHOWN: usize = 2000;

/// See the module.
pub struct Report<'a> {
    name: &'a str,
    lab: &'a Lab<'a>,
    ran: &'a Ran,
    steps: Vec<Step<'a>>,
}

/// A hook, or `configure`, with what it asked of the host meanwhile.
struct Step<'a> {
    what: &'static str,
    cpu: Duration,
    memory: usize,
    effects: Vec<(&'static str, &'a str)>,
    hook: Option<&'a witness::Ran>,
}

impl<'a> Report<'a> {
    pub fn new(name: &'a str, lab: &'a Lab<'a>, ran: &'a Ran) -> Self {
        let mut steps = Vec::new();
        let mut effects = Vec::new();
        for event in &ran.events {
            match event {
                Event::Effect(kind, words) => effects.push((*kind, words.as_str())),
                Event::Missing(what, name) => effects.push((missing(*what), name.as_str())),
                Event::Configured { cpu, memory } => steps.push(Step {
                    what: "configure",
                    cpu: *cpu,
                    memory: *memory,
                    effects: std::mem::take(&mut effects),
                    hook: None,
                }),
                Event::Hook(hook) => steps.push(Step {
                    what: hook.hook.name(),
                    cpu: hook.cpu,
                    memory: hook.memory,
                    effects: std::mem::take(&mut effects),
                    hook: Some(hook),
                }),
            }
        }
        Self { name, lab, ran, steps }
    }

    /// The first hook that failed.
    pub fn failed(&self) -> Option<&'static str> {
        self.steps.iter().find(|step| step.hook.is_some_and(|hook| hook.verdict.is_err())).map(|step| step.what)
    }

    pub fn to_json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
        let came = self.ran.came.iter().map(|came| {
            json!({ "cluster": came.cluster, "method": came.method, "target": came.target, "headers": fields(&came.headers),
                    "body": text(&came.body), "trailers": fields(&came.trailers) })
        });
        let came: Vec<_> = came.collect();
        let answer = match &self.ran.answer {
            Ok(whole) => json!({ "status": whole.status.as_u16(), "headers": fields(&whole.headers), "body": text(&whole.body),
                                 "trailers": fields(&whole.trailers) }),
            Err(error) => json!({ "error": error }),
        };
        json!({
            "file": self.name,
            "request": { "method": self.lab.method.as_str(), "target": self.lab.target },
            "granted": { "clusters": if self.lab.grant { json!(self.ran.clusters) } else { json!([]) }, "stores": self.ran.stores },
            "steps": steps,
            "upstream": came,
            "response": answer,
        })
    }

    pub fn print(&self) {
        let paint = Paint::stdout();
        println!("{}  {} {}\n", paint.bold(self.name), self.lab.method, self.lab.target);
        for step in &self.steps {
            step.print(paint);
        }
        if self.lab.grant && !(self.ran.clusters.is_empty() && self.ran.stores.is_empty()) {
            let named = self.ran.clusters.iter().map(|name| format!("cluster {name}"));
            let all: Vec<_> = named.chain(self.ran.stores.iter().map(|name| format!("store {name}"))).collect();
            say::row("\ngranted", format!(" {}", all.join(", ")));
        }
        println!();
        if self.ran.came.is_empty() {
            println!("{}", paint.bold("nothing went upstream"));
        }
        for came in &self.ran.came {
            println!("{}", paint.bold(&format!("{} was asked {} {}", came.cluster, came.method, came.target)));
            print_message(&came.headers, &came.body, &came.trailers);
        }
        match &self.ran.answer {
            Ok(whole) => {
                println!("{}", paint.bold(&format!("the client got {}", whole.status)));
                print_message(&whole.headers, &whole.body, &whole.trailers);
            }
            Err(error) => println!("{}", paint.bad(&format!("the client got no answer: {error}"))),
        }
    }
}

impl Step<'_> {
    fn to_json(&self) -> Value {
        let effects: Vec<_> = self.effects.iter().map(|(kind, words)| json!({ "kind": kind, "what": words })).collect();
        let mut step = json!({
            "what": self.what,
            "cpu_ns": u64::try_from(self.cpu.as_nanos()).unwrap_or(u64::MAX),
            "memory_bytes": self.memory,
            "effects": effects,
        });
        let Some(hook) = self.hook else { return step };
        let (removed, added) = difference(&hook.before, &hook.after);
        let lines = |lines: Lines<'_>| -> Vec<Value> { lines.iter().map(|(name, value)| json!([name, value])).collect() };
        let (verdict, fault) = match &hook.verdict {
            Ok(verdict) => (Some(word(hook.hook, *verdict)), None),
            Err(fault) => (None, Some(fault)),
        };
        step["verdict"] = json!(verdict);
        step["fault"] = json!(fault);
        step["removed"] = json!(lines(removed));
        step["added"] = json!(lines(added));
        step["chunk"] = json!(hook.chunk.map(|(bytes, last)| json!({ "bytes": bytes, "last": last })));
        step["replaced"] = json!(hook.replaced.as_deref().map(text));
        step["reply"] = json!(hook.reply.as_ref().map(|reply| {
            json!({ "status": reply.status.as_u16(), "headers": fields(&reply.headers), "body": text(&reply.body) })
        }));
        step
    }

    fn print(&self, paint: Paint) {
        let used = format!("{} of CPU, {} of memory", say::time(self.cpu), say::bytes(self.memory));
        let Some(hook) = self.hook else {
            println!("{:<16}{:<10}{used}", self.what, "accepted");
            self.print_effects();
            return;
        };
        let said = match &hook.verdict {
            Ok(verdict) => format!("{:<10}", word(hook.hook, *verdict)),
            Err(_) => paint.bad(&format!("{:<10}", "failed")),
        };
        let chunk =
            hook.chunk.map_or(String::new(), |(bytes, last)| format!("   {bytes} B{}", if last { ", the last" } else { "" }));
        println!("{:<16}{said}{used}{chunk}", self.what);
        self.print_effects();
        let (removed, added) = difference(&hook.before, &hook.after);
        for (name, value) in removed {
            println!("{}", paint.bad(&format!("  - {name}: {value}")));
        }
        for (name, value) in added {
            println!("{}", paint.good(&format!("  + {name}: {value}")));
        }
        if let Some(bytes) = &hook.replaced {
            println!("  {:<14}{}", "replaced by", shown(bytes));
        }
        if let Some(reply) = &hook.reply {
            println!("  {:<14}{}", "reply", reply.status);
        }
        if let Err(fault) = &hook.verdict {
            println!("{}", paint.bad(&format!("  {}", fault.replace('\n', "\n  "))));
        }
    }

    fn print_effects(&self) {
        for (kind, words) in &self.effects {
            println!("  {kind:<14}{words}");
        }
    }
}

fn missing(what: witness::Missing) -> &'static str {
    match what {
        witness::Missing::Cluster => "no cluster",
        witness::Missing::Store => "no store",
    }
}

/// The verdict in the words of wit/.
fn word(hook: Hook, verdict: Verdict) -> &'static str {
    match (hook, verdict) {
        (Hook::RequestChunk | Hook::ResponseChunk, Verdict::Next) => "keep",
        (Hook::RequestChunk | Hook::ResponseChunk, Verdict::Replied) => "replaced",
        (Hook::Trailers | Hook::Complete | Hook::Tick | Hook::Connection, Verdict::Next) => "done",
        (_, Verdict::Next) => "next",
        (_, Verdict::Replied) => "replied",
        (_, Verdict::Reset) => "reset",
    }
}

/// Some of the lines of [`Fields`].
type Lines<'f> = Vec<&'f (String, String)>;

/// The lines that are gone, and those that are new.
fn difference<'f>(before: &'f Fields, after: &'f Fields) -> (Lines<'f>, Lines<'f>) {
    let mut added: Vec<_> = after.iter().collect();
    let removed = before.iter().filter(|line| match added.iter().position(|other| other == line) {
        Some(position) => {
            added.remove(position);
            false
        }
        None => true,
    });
    (removed.collect(), added)
}

fn fields(map: &HeaderMap) -> Value {
    map.iter().map(|(name, value)| json!([name.as_str(), text(value.as_bytes())])).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(bytes: &[u8]) -> String {
    let cut = if bytes.len() > BODY_SHOWN { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    format!("{}{cut}", text(&bytes[..bytes.len().min(BODY_SHOWN)]))
}

fn print_message(headers: &HeaderMap, body: &[u8], trailers: &HeaderMap) {
    let print = |map: &HeaderMap| map.iter().for_each(|(name, value)| println!("  {name}: {}", text(value.as_bytes())));
    print(headers);
    if !body.is_empty() {
        println!("\n  {}", shown(body).trim_end().replace('\n', "\n  "));
    }
    print(trailers);
    println!();
}
