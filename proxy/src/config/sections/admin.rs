//! The keys of `[admin]`.

use super::super::bounds::*;
use super::super::defaults;
use super::super::kind::{AdminAddress, File, Integer, Size, Time};
use super::super::table::Table;
use super::super::types::{Admin, AdminListen, Tap};

pub fn admin(table: &mut Table<'_>) -> Option<Admin> {
    let listen = table.required(
        "listen",
        &AdminAddress,
        "Where it listens: an address of this machine alone, a socket that only the user of the process can open, or with a \
         token any address. Whoever reaches it sees what there is.",
    );
    let token_file = table.optional(
        "token-file",
        &File,
        "A file with the token that changes need, as `Authorization: Bearer …`; read for each of them. Without it, whoever \
         connects from this machine may change something, and nobody else.",
    );
    let connections = table.or(
        "connections",
        &Integer::within(1, ADMIN_CONNECTIONS_MAX),
        defaults::ADMIN_CONNECTIONS,
        "Connections of operators at once; a further one waits until another ends.",
    );
    let request_headers = table.or(
        "request-headers",
        &Time::within(DURATION_MIN, ADMIN_REQUEST_HEADERS_MAX),
        defaults::ADMIN_REQUEST_HEADERS,
        "A connection on which no whole head of a request comes for this long is closed.",
    );
    let tap = table.table("tap", "Exchanges as they end, for whoever watches them.", tap);
    let listen = listen?;
    if let (AdminListen::Address(address), None) = (&listen, table.node("token-file"))
        && !address.ip().to_canonical().is_loopback()
    {
        let reader = table.reader();
        let span = table.node("listen").map_or_else(|| table.span(), |node| node.span.clone());
        let message = format!("others than this machine reach {address}, and there is no `token-file`");
        let help = "expected an address such as \"127.0.0.1:9901\", \"unix:/run/tamis/admin.sock\", or a `token-file` with the \
                    token that changes need";
        reader.add(reader.problem(span, message).with_help(help));
    }
    Some(Admin { listen, token_file, connections, request_headers, tap })
}

fn tap(table: &mut Table<'_>) -> Tap {
    let default = Tap::default();
    Tap {
        watchers: table.or(
            "watchers",
            &Integer::within(1, TAP_WATCHERS_MAX),
            default.watchers,
            "Who may watch at once; one more is refused.",
        ),
        queue: table.or(
            "queue",
            &Integer::within(1, TAP_QUEUE_MAX),
            default.queue,
            "Exchanges that wait for one who reads slowly, before further ones are dropped and counted.",
        ),
        queue_bytes: table.or(
            "queue-bytes",
            &Size::within(TAP_QUEUE_BYTES_MIN, TAP_QUEUE_BYTES_MAX),
            default.queue_bytes,
            "What these may take in memory, before further ones are dropped and counted.",
        ),
        body_bytes: table.or(
            "body-bytes",
            &Size::within(0, TAP_BODY_BYTES_MAX),
            default.body_bytes,
            "Of one body, as much as whoever watches may ask for.",
        ),
    }
}
