//! The keys of `[redact]`.

use crate::config::kind::{FieldName, List, Word};
use crate::config::table::Table;
use crate::config::types::Redact;

pub fn redact(table: &mut Table<'_>) -> Redact {
    let default = Redact::default();
    Redact {
        fields: table.or(
            "fields",
            &List::of_distinct(FieldName),
            default.fields,
            "Fields of requests and responses. A list of your own takes the place of the default.",
        ),
        query: table.or(
            "query",
            &List::of_distinct(Word),
            default.query,
            "Parameters of a query, in any case; also in the addresses that `referer` and `location` hold.",
        ),
        notes: table.or("notes", &List::of_distinct(Word), default.notes, "Notes of filters."),
    }
}
