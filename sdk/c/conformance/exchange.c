/* Steps that speak of the exchange in hand. */
#include "steps.h"

static bool is(const char *function, const char *name) {
    return strcmp(function, name) == 0;
}

static const char *const body_errors[] = {"", "too-large", "peer-gone", "already-streamed"};

static const char *read_body(tamis_body_error error, tamis_text body, const char *function) {
    if (error) return tamis_format("!%s", body_errors[error]);
    return is(function, "read-body-length") ? whole(body.len) : value(body);
}

static const char *request_body(uint32_t limit, const char *function) {
    tamis_text body;
    tamis_body_error error = tamis_request_read_body(limit, &body);
    return read_body(error, body, function);
}

const char *of_request(const words *w, const char *function) {
    const char *name = w->count > 1 ? w->word[1].ptr : "";
    tamis_text given = w->count > 2 ? w->word[2] : TAMIS_TEXT("");
    if (is(function, "method")) return value(tamis_request_method());
    if (is(function, "scheme")) return value(tamis_request_scheme());
    if (is(function, "authority")) return value(tamis_request_authority());
    if (is(function, "path")) return value(tamis_request_path());
    if (is(function, "query")) return value(tamis_request_query());
    if (is(function, "id")) return value(tamis_request_id());
    if (is(function, "deadline-left")) {
        uint64_t left;
        return tamis_request_deadline_left(&left) ? whole(left) : "none";
    }
    if (is(function, "set-method")) return done(tamis_request_set_method(name));
    if (is(function, "set-authority")) return done(tamis_request_set_authority(name));
    if (is(function, "set-target")) return done(tamis_request_set_target(name));
    if (is(function, "header")) return value(tamis_request_header(name));
    if (is(function, "headers")) return values(tamis_request_headers(name));
    if (is(function, "all-headers")) {
        const char *list = fields(tamis_request_all_headers());
        return *list ? list : "none";
    }
    if (is(function, "set-header")) return done(tamis_request_set_header(name, given));
    if (is(function, "add-header")) return done(tamis_request_add_header(name, given));
    if (is(function, "trailer")) return value(tamis_request_trailer(name));
    if (is(function, "set-trailer")) return done(tamis_request_set_trailer(name, given));
    if (strncmp(function, "read-body", 9) == 0) return request_body(number(w, 1), function);
    if (is(function, "remove-header")) tamis_request_remove_header(name);
    else if (is(function, "set-body")) tamis_request_set_body(w->word[1]);
    else __builtin_trap();
    return "ok";
}

static const char *response_body(uint32_t limit, const char *function) {
    tamis_text body;
    tamis_body_error error = tamis_response_read_body(limit, &body);
    return read_body(error, body, function);
}

const char *of_response(const words *w, const char *function) {
    const char *name = w->count > 1 ? w->word[1].ptr : "";
    tamis_text given = w->count > 2 ? w->word[2] : TAMIS_TEXT("");
    if (is(function, "status")) return whole(tamis_response_status());
    if (is(function, "set-status")) return done(tamis_response_set_status(number(w, 1)));
    if (is(function, "origin")) return value(tamis_response_origin());
    if (is(function, "header")) return value(tamis_response_header(name));
    if (is(function, "headers")) return values(tamis_response_headers(name));
    if (is(function, "all-headers")) {
        const char *list = fields(tamis_response_all_headers());
        return *list ? list : "none";
    }
    if (is(function, "set-header")) return done(tamis_response_set_header(name, given));
    if (is(function, "add-header")) return done(tamis_response_add_header(name, given));
    if (is(function, "trailer")) return value(tamis_response_trailer(name));
    if (is(function, "set-trailer")) return done(tamis_response_set_trailer(name, given));
    if (strncmp(function, "read-body", 9) == 0) return response_body(number(w, 1), function);
    if (is(function, "remove-header")) tamis_response_remove_header(name);
    else if (is(function, "set-body")) tamis_response_set_body(w->word[1]);
    else __builtin_trap();
    return "ok";
}

const char *of_outcome(const words *w, const char *function) {
    if (is(function, "status")) return whole(tamis_outcome_status());
    if (is(function, "request-bytes")) return whole(tamis_outcome_request_bytes());
    if (is(function, "response-bytes")) return whole(tamis_outcome_response_bytes());
    if (is(function, "duration")) return whole(tamis_outcome_duration_microseconds());
    if (is(function, "upstream")) return value(tamis_outcome_upstream());
    if (is(function, "attempts")) return whole(tamis_outcome_attempts());
    if (is(function, "failure")) return value(tamis_outcome_failure());
    if (is(function, "mirrored-headers")) return values(tamis_outcome_mirrored_headers(number(w, 1), w->word[2].ptr));
    tamis_mirrored result;
    return tamis_outcome_mirrored(number(w, 1), &result) ? whole(result.status) : "none";
}

const char *of_connection(const char *function) {
    if (is(function, "source-address")) return value(tamis_connection_source());
    if (is(function, "peer-address")) return value(tamis_connection_peer());
    if (is(function, "local-address")) return value(tamis_connection_local());
    if (is(function, "original-destination")) return value(tamis_connection_original_destination());
    if (is(function, "trusted")) return truth(tamis_connection_trusted());
    if (is(function, "listener")) return value(tamis_connection_listener());
    if (is(function, "protocol")) return value(tamis_connection_protocol());
    if (is(function, "tls-version")) return value(tamis_connection_tls_version());
    if (is(function, "server-name")) return value(tamis_connection_server_name());
    if (is(function, "client-identities")) return values(tamis_connection_client_identities());
    return value(tamis_connection_client_fingerprint());
}

const char *of_destination(const words *w, const char *function) {
    const char *name = w->count > 1 ? w->word[1].ptr : "";
    if (is(function, "cluster")) return value(tamis_destination_cluster());
    if (is(function, "set-cluster")) return done(tamis_destination_set_cluster(name));
    if (is(function, "set-fallback")) return done(tamis_destination_set_fallback(name));
    if (is(function, "set-endpoint")) return done(tamis_destination_set_endpoint(name));
    if (is(function, "route")) return value(tamis_destination_route());
    if (is(function, "set-chain")) return done(tamis_destination_set_chain(name));
    if (is(function, "set-retry")) return done(tamis_destination_set_retry(number(w, 1), milliseconds(w, 2), rest(w, 3)));
    if (is(function, "mirror")) {
        uint32_t copy;
        const char *refused = tamis_destination_mirror(name, pairs(w, 3), number(w, 2), &copy);
        return refused ? done(refused) : whole(copy);
    }
    if (is(function, "set-route")) tamis_destination_set_route(name);
    else if (is(function, "set-subset")) tamis_destination_set_subset(pairs(w, 1));
    else if (is(function, "set-hash-key")) tamis_destination_set_hash_key(w->word[1]);
    else if (is(function, "set-timeout")) tamis_destination_set_timeout(milliseconds(w, 1));
    else tamis_destination_set_response_rate(milliseconds(w, 1));
    return "ok";
}

const char *of_notes(const words *w, const char *function) {
    if (is(function, "get")) return value(tamis_note(w->word[1].ptr));
    tamis_set_note(w->word[1].ptr, w->word[2]);
    return "ok";
}
