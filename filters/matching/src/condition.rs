//! What a rule asks of a request beside host and path.

use std::collections::BTreeMap;

use tamis_sdk::{Connection, Method, Request};

use crate::field::FieldMatch;
use crate::matcher::Match;
use crate::{identity, source, value};

/// All of these must hold.
#[derive(Debug, Default)]
pub struct Conditions {
    /// One of these; empty: any.
    methods: Vec<String>,
    /// For each name, what one of its values must be.
    fields: Vec<(String, FieldMatch)>,
    query: Vec<(String, FieldMatch)>,
    cookies: Vec<(String, FieldMatch)>,
    notes: Vec<(String, FieldMatch)>,
    /// In one of these; empty: anywhere.
    sources: Vec<source::Range>,
    /// One of the client's names is one of these; empty: any, or none.
    identities: Vec<identity::Pattern>,
    scheme: Option<String>,
}

impl Conditions {
    /// Takes them out of a configuration; hosts and paths stay.
    pub fn take(matches: &mut Match) -> Self {
        let listed = |fields: BTreeMap<String, FieldMatch>| fields.into_iter().collect();
        let fields = std::mem::take(&mut matches.headers);
        Conditions {
            methods: std::mem::take(&mut matches.method).0.into_iter().map(|method| method.0).collect(),
            fields: fields.into_iter().map(|(name, field)| (name.0.to_ascii_lowercase(), field)).collect(),
            query: listed(std::mem::take(&mut matches.query)),
            cookies: listed(std::mem::take(&mut matches.cookies)),
            notes: listed(std::mem::take(&mut matches.notes)),
            sources: std::mem::take(&mut matches.source).0,
            identities: std::mem::take(&mut matches.identity).0,
            scheme: matches.scheme.take().map(|scheme| scheme.word().to_owned()),
        }
    }

    /// The same, and only over this scheme: a redirect to https that met its own result would go round for ever.
    pub fn over(mut self, scheme: &str) -> Self {
        self.scheme.get_or_insert_with(|| scheme.to_owned());
        self
    }

    /// How many there are: of two rules for the same paths the one with more is asked first.
    pub fn count(&self) -> usize {
        usize::from(!self.methods.is_empty())
            + self.fields.len()
            + self.query.len()
            + self.cookies.len()
            + self.notes.len()
            + usize::from(!self.sources.is_empty())
            + usize::from(!self.identities.is_empty())
            + usize::from(self.scheme.is_some())
    }

    pub fn hold(&self, request: &Request) -> bool {
        let method = |method: Method| self.methods.iter().any(|known| known == method.as_str());
        (self.methods.is_empty() || method(request.method()))
            && self.scheme.as_ref().is_none_or(|scheme| request.scheme() == *scheme)
            && (self.sources.is_empty() || self.source_holds(&request.connection()))
            && (self.identities.is_empty() || self.identity_holds(&request.connection()))
            && self.fields.iter().all(|(name, field)| field.holds(values(request, name)))
            && (self.query.is_empty() || self.query_holds(request))
            && self.cookies.iter().all(|(name, field)| field.holds(value::cookies(request, name)))
            && self.notes.iter().all(|(name, field)| field.holds(request.notes().get(name)))
    }

    /// The same for a raw connection, of which there is no more to ask than who and where its client is.
    pub fn hold_for(&self, connection: &Connection) -> bool {
        let of_requests = self.methods.len() + self.fields.len() + self.query.len() + self.cookies.len();
        of_requests == 0
            && self.scheme.is_none()
            && (self.sources.is_empty() || self.source_holds(connection))
            && (self.identities.is_empty() || self.identity_holds(connection))
            && self.notes.iter().all(|(name, field)| field.holds(connection.notes().get(name)))
    }

    fn source_holds(&self, connection: &Connection) -> bool {
        let Some(address) = connection.source_ip() else { return false };
        let address = address.to_canonical();
        self.sources.iter().any(|range| range.contains(address))
    }

    fn identity_holds(&self, connection: &Connection) -> bool {
        let names = connection.client_identities();
        names.iter().any(|name| self.identities.iter().any(|pattern| pattern.matches(name)))
    }

    fn query_holds(&self, request: &Request) -> bool {
        let query = request.query().unwrap_or_default();
        self.query.iter().all(|(name, field)| field.holds(value::parameters(&query, name)))
    }
}

fn values(request: &Request, name: &str) -> impl Iterator<Item = impl AsRef<[u8]>> {
    request.headers(name).into_iter()
}
