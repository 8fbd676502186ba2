/* The exchange in hand. Most functions have one of a few shapes. */
#include "border.h"

#define TEXT(name, import)                                                                                                \
    tamis_text name(void) {                                                                                               \
        tamis_string_t text;                                                                                              \
        import(&text);                                                                                                    \
        return out(text);                                                                                                 \
    }
#define OPTIONAL(name, import)                                                                                            \
    tamis_text name(void) {                                                                                               \
        tamis_string_t text;                                                                                              \
        return import(&text) ? out(text) : NONE;                                                                          \
    }
#define NAMED(name, import)                                                                                               \
    tamis_text name(const char *of) {                                                                                     \
        tamis_string_t key = in(of);                                                                                      \
        tamis_list_u8_t value;                                                                                            \
        return import(&key, &value) ? out_bytes(value) : NONE;                                                            \
    }
#define NAMED_ALL(name, import)                                                                                           \
    tamis_texts name(const char *of) {                                                                                    \
        tamis_string_t key = in(of);                                                                                      \
        tamis_list_list_u8_t values;                                                                                      \
        import(&key, &values);                                                                                            \
        return tamis_out_texts(values.ptr, values.len);                                                                   \
    }
#define REFUSED(name, import)                                                                                             \
    const char *name(const char *value) {                                                                                 \
        tamis_string_t text = in(value), reason;                                                                          \
        bool fine = import(&text, &reason);                                                                               \
        return out_reason(fine, reason);                                                                                  \
    }
#define SET(name, import)                                                                                                 \
    const char *name(const char *of, tamis_text value) {                                                                  \
        tamis_string_t key = in(of), reason;                                                                              \
        tamis_list_u8_t bytes = in_bytes(value);                                                                          \
        bool fine = import(&key, &bytes, &reason);                                                                        \
        return out_reason(fine, reason);                                                                                  \
    }
#define GIVEN(name, import)                                                                                               \
    void name(const char *value) {                                                                                        \
        tamis_string_t text = in(value);                                                                                  \
        import(&text);                                                                                                    \
    }
#define GIVEN_BYTES(name, import)                                                                                         \
    void name(tamis_text value) {                                                                                         \
        tamis_list_u8_t bytes = in_bytes(value);                                                                          \
        import(&bytes);                                                                                                   \
    }
#define PACKED(name, import)                                                                                              \
    tamis_fields name(void) {                                                                                             \
        tamis_list_u8_t packed;                                                                                           \
        import(&packed);                                                                                                  \
        return tamis_unpack(packed);                                                                                      \
    }
#define BODY(name, import)                                                                                                \
    tamis_body_error name(uint32_t limit, tamis_text *body) {                                                             \
        tamis_list_u8_t bytes;                                                                                            \
        tamis_filter_types_body_error_t error;                                                                            \
        *body = NONE;                                                                                                     \
        if (!import(limit, &bytes, &error)) return TAMIS_BODY_TOO_LARGE + error;                                          \
        *body = out_bytes(bytes);                                                                                         \
        return TAMIS_BODY_READ;                                                                                           \
    }

TEXT(tamis_request_method, tamis_filter_request_method)
TEXT(tamis_request_scheme, tamis_filter_request_scheme)
TEXT(tamis_request_authority, tamis_filter_request_authority)
TEXT(tamis_request_path, tamis_filter_request_path)
TEXT(tamis_request_id, tamis_filter_request_id)
OPTIONAL(tamis_request_query, tamis_filter_request_query)
REFUSED(tamis_request_set_method, tamis_filter_request_set_method)
REFUSED(tamis_request_set_authority, tamis_filter_request_set_authority)
REFUSED(tamis_request_set_target, tamis_filter_request_set_target)
NAMED(tamis_request_header, tamis_filter_request_header)
NAMED(tamis_request_trailer, tamis_filter_request_trailer)
NAMED_ALL(tamis_request_headers, tamis_filter_request_headers)
PACKED(tamis_request_all_headers, tamis_filter_request_all_headers)
SET(tamis_request_set_header, tamis_filter_request_set_header)
SET(tamis_request_add_header, tamis_filter_request_add_header)
SET(tamis_request_set_trailer, tamis_filter_request_set_trailer)
GIVEN(tamis_request_remove_header, tamis_filter_request_remove_header)
BODY(tamis_request_read_body, tamis_filter_request_read_body)
GIVEN_BYTES(tamis_request_set_body, tamis_filter_request_set_body)

TEXT(tamis_response_origin, tamis_filter_response_origin)
NAMED(tamis_response_header, tamis_filter_response_header)
NAMED(tamis_response_trailer, tamis_filter_response_trailer)
NAMED_ALL(tamis_response_headers, tamis_filter_response_headers)
PACKED(tamis_response_all_headers, tamis_filter_response_all_headers)
SET(tamis_response_set_header, tamis_filter_response_set_header)
SET(tamis_response_add_header, tamis_filter_response_add_header)
SET(tamis_response_set_trailer, tamis_filter_response_set_trailer)
GIVEN(tamis_response_remove_header, tamis_filter_response_remove_header)
BODY(tamis_response_read_body, tamis_filter_response_read_body)
GIVEN_BYTES(tamis_response_set_body, tamis_filter_response_set_body)

TEXT(tamis_connection_source, tamis_filter_connection_source_address)
TEXT(tamis_connection_peer, tamis_filter_connection_peer_address)
TEXT(tamis_connection_local, tamis_filter_connection_local_address)
TEXT(tamis_connection_listener, tamis_filter_connection_listener)
TEXT(tamis_connection_protocol, tamis_filter_connection_protocol)
OPTIONAL(tamis_connection_original_destination, tamis_filter_connection_original_destination)
OPTIONAL(tamis_connection_tls_version, tamis_filter_connection_tls_version)
OPTIONAL(tamis_connection_server_name, tamis_filter_connection_server_name)
OPTIONAL(tamis_connection_client_fingerprint, tamis_filter_connection_client_fingerprint)

OPTIONAL(tamis_destination_cluster, tamis_filter_destination_cluster)
OPTIONAL(tamis_destination_route, tamis_filter_destination_route)
REFUSED(tamis_destination_set_cluster, tamis_filter_destination_set_cluster)
REFUSED(tamis_destination_set_fallback, tamis_filter_destination_set_fallback)
REFUSED(tamis_destination_set_endpoint, tamis_filter_destination_set_endpoint)
REFUSED(tamis_destination_set_chain, tamis_filter_destination_set_chain)
GIVEN(tamis_destination_set_route, tamis_filter_destination_set_route)
GIVEN_BYTES(tamis_destination_set_hash_key, tamis_filter_destination_set_hash_key)

OPTIONAL(tamis_outcome_upstream, tamis_filter_outcome_upstream)
OPTIONAL(tamis_outcome_failure, tamis_filter_outcome_failure)

REFUSED(tamis_setup_want, tamis_filter_setup_want)

bool tamis_request_deadline_left(uint64_t *milliseconds) {
    return tamis_filter_request_deadline_left_ms(milliseconds);
}

uint16_t tamis_response_status(void) {
    return tamis_filter_response_status();
}

const char *tamis_response_set_status(uint16_t status) {
    tamis_string_t reason;
    bool fine = tamis_filter_response_set_status(status, &reason);
    return out_reason(fine, reason);
}

const char *tamis_reply(uint16_t status, tamis_fields fields, tamis_text body) {
    tamis_filter_reply_list_field_t list = {tamis_in_fields(fields), fields.count};
    tamis_list_u8_t bytes = in_bytes(body);
    tamis_string_t reason;
    bool fine = tamis_filter_reply_set(status, &list, &bytes, &reason);
    return out_reason(fine, reason);
}

tamis_verdict tamis_reply_text(uint16_t status, const char *body) {
    tamis_field plain = TAMIS_FIELD("content-type", "text/plain; charset=utf-8");
    const char *refused = tamis_reply(status, (tamis_fields){&plain, 1}, tamis_text_of(body));
    if (refused) {
        tamis_log(TAMIS_ERROR, "the reply is refused: %s", refused);
        __builtin_trap();
    }
    return TAMIS_REPLIED;
}

tamis_verdict tamis_reply_grpc(uint32_t status, const char *message) {
    tamis_string_t text = in(message);
    tamis_filter_reply_set_grpc(status, &text);
    return TAMIS_REPLIED;
}

tamis_chunk_verdict tamis_replace(tamis_text bytes) {
    tamis_list_u8_t list = in_bytes(bytes);
    tamis_filter_chunk_replace(&list);
    return TAMIS_REPLACED;
}

bool tamis_connection_trusted(void) {
    return tamis_filter_connection_trusted();
}

tamis_texts tamis_connection_client_identities(void) {
    tamis_list_string_t list;
    tamis_filter_connection_client_identities(&list);
    return tamis_out_texts(list.ptr, list.len);
}

void tamis_destination_set_subset(tamis_fields labels) {
    tamis_list_tuple2_string_string_t list = {tamis_allocate(labels.count * sizeof *list.ptr), labels.count};
    for (size_t at = 0; at < labels.count; at++) {
        list.ptr[at].f0 = tamis_clean(labels.ptr[at].name);
        list.ptr[at].f1 = tamis_clean(labels.ptr[at].value);
    }
    tamis_filter_destination_set_subset(&list);
}

void tamis_destination_set_timeout(uint32_t milliseconds) {
    tamis_filter_destination_set_timeout_ms(milliseconds);
}

const char *tamis_destination_set_retry(uint32_t attempts, uint32_t per_try_milliseconds, tamis_texts on) {
    tamis_list_string_t occasions = tamis_in_texts(on);
    tamis_string_t reason;
    uint32_t *time = per_try_milliseconds ? &per_try_milliseconds : NULL;
    bool fine = tamis_filter_destination_set_retry(attempts, &occasions, time, &reason);
    return out_reason(fine, reason);
}

const char *tamis_destination_mirror(const char *cluster, tamis_fields fields, uint32_t body_limit, uint32_t *copy) {
    tamis_string_t name = in(cluster), reason;
    tamis_filter_destination_list_field_t list = {tamis_in_fields(fields), fields.count};
    bool fine = tamis_filter_destination_mirror(&name, &list, body_limit, copy, &reason);
    return out_reason(fine, reason);
}

void tamis_destination_set_response_rate(uint64_t bytes_per_second) {
    tamis_filter_destination_set_response_rate(bytes_per_second);
}

uint16_t tamis_outcome_status(void) {
    return tamis_filter_outcome_status();
}

uint64_t tamis_outcome_request_bytes(void) {
    return tamis_filter_outcome_request_bytes();
}

uint64_t tamis_outcome_response_bytes(void) {
    return tamis_filter_outcome_response_bytes();
}

uint64_t tamis_outcome_duration_microseconds(void) {
    return tamis_filter_outcome_duration_us();
}

uint32_t tamis_outcome_attempts(void) {
    return tamis_filter_outcome_attempts();
}

bool tamis_outcome_mirrored(uint32_t copy, tamis_mirrored *result) {
    tamis_filter_outcome_mirror_result_t found;
    if (!tamis_filter_outcome_mirrored(copy, &found)) return false;
    *result = (tamis_mirrored){found.status, found.body_hash, found.duration_us};
    return true;
}

tamis_texts tamis_outcome_mirrored_headers(uint32_t copy, const char *name) {
    tamis_string_t key = in(name);
    tamis_list_list_u8_t values;
    tamis_filter_outcome_mirrored_headers(copy, &key, &values);
    return tamis_out_texts(values.ptr, values.len);
}

void tamis_setup_keep_state(void) {
    tamis_filter_setup_keep_state();
}

void tamis_setup_tick_every(uint64_t milliseconds) {
    tamis_filter_setup_tick_every_ms(milliseconds);
}
