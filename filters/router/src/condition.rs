//! What a route asks of a request beside host and path.

use tamis_sdk::{Method, Request};

use crate::config::{FieldMatch, Match};

/// All of these must hold.
#[derive(Debug, Default)]
pub struct Conditions {
    /// One of these; empty: any.
    methods: Vec<String>,
    /// For each name, what one of its values must be.
    fields: Vec<(String, FieldMatch)>,
    /// Only requests over plain HTTP: a redirect to https that met its own result would go round for ever.
    plain: bool,
}

impl Conditions {
    pub fn build(matches: &mut Match, plain: bool) -> Self {
        let methods = std::mem::take(&mut matches.method).0.into_iter().map(|method| method.0).collect();
        let fields = std::mem::take(&mut matches.headers);
        let fields = fields.into_iter().map(|(name, field)| (name.0.to_ascii_lowercase(), field)).collect();
        Conditions { methods, fields, plain }
    }

    /// How many there are: of two routes for the same paths the one with more is asked first.
    pub fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.fields.len() + usize::from(self.plain)
    }

    pub fn hold(&self, request: &Request) -> bool {
        let method = |method: Method| self.methods.iter().any(|known| known == method.as_str());
        (self.methods.is_empty() || method(request.method()))
            && (!self.plain || request.scheme() == "http")
            && self.fields.iter().all(|(name, field)| field.holds(request, name))
    }
}

impl FieldMatch {
    /// Each value is looked at by itself, never several joined: `a, b` is not the value `a`.
    fn holds(&self, request: &Request, name: &str) -> bool {
        let values = request.headers(name);
        let any = |test: &dyn Fn(&[u8]) -> bool| values.iter().any(|value| test(value.as_bytes()));
        match self {
            FieldMatch::Present(present) => *present != values.is_empty(),
            FieldMatch::Exact(text) => any(&|value| value == text.as_bytes()),
            FieldMatch::Prefix(text) => any(&|value| value.starts_with(text.as_bytes())),
            FieldMatch::Suffix(text) => any(&|value| value.ends_with(text.as_bytes())),
            FieldMatch::Contains(text) => {
                any(&|value| text.is_empty() || value.windows(text.len()).any(|window| window == text.as_bytes()))
            }
        }
    }
}
