/* Write a filter for the Tamis proxy in C.
 *
 *   #include <tamis.h>
 *
 *   static tamis_verdict on_request(void) {
 *       if (tamis_equal(tamis_request_header("x-key"), "sesame")) return TAMIS_NEXT;
 *       return tamis_reply_text(403, "no key, no entry\n");
 *   }
 *   TAMIS_ON_REQUEST(on_request)
 *
 * Who owns what: whatever the proxy hands over, and whatever a function here returns, is there until the hook returns; nobody
 * frees it. What is to last longer is copied with malloc. What is handed to the proxy is copied by it.
 *
 * An instance runs for one exchange at a time, and each hook may run in another instance: what one hook wants to tell the next
 * goes into notes, unless the filter calls tamis_setup_keep_state. Calls that wait (a body, another service, tamis_sleep) look
 * as if they did not; the proxy serves others meanwhile. */
#ifndef TAMIS_H
#define TAMIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes; ptr is NULL if there are none to speak of, where there may be none. A zero byte stands behind whatever the proxy hands
 * over, so that ptr is a string of C as well if no other zero is in it. */
typedef struct {
    const char *ptr;
    size_t len;
} tamis_text;

typedef struct {
    const tamis_text *ptr;
    size_t count;
} tamis_texts;

/* A header or trailer field. Names that the proxy hands over are in lower case. */
typedef struct {
    tamis_text name;
    tamis_text value;
} tamis_field;

typedef struct {
    const tamis_field *ptr;
    size_t count;
} tamis_fields;

/* Of a literal, and of a string of C. */
#define TAMIS_TEXT(literal) ((tamis_text){"" literal, sizeof(literal) - 1})
#define TAMIS_FIELD(name, value) ((tamis_field){TAMIS_TEXT(name), TAMIS_TEXT(value)})
static inline tamis_text tamis_text_of(const char *string) {
    tamis_text text = {string, string ? strlen(string) : 0};
    return text;
}
static inline bool tamis_equal(tamis_text text, const char *string) {
    return text.ptr && strlen(string) == text.len && memcmp(text.ptr, string, text.len) == 0;
}

/* Room until the hook returns; never NULL. tamis_format puts text there as printf would. */
void *tamis_allocate(size_t size);
const char *tamis_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where a function returns const char *, it is NULL if all went well, else the reason why it was refused. */

/* ---- Hooks ---- */

/* What a request or response hook decides. TAMIS_REPLIED goes with tamis_reply and its kin. */
typedef enum { TAMIS_NEXT = 0, TAMIS_REPLIED = 1, TAMIS_RESET = 2 } tamis_verdict;
/* What a chunk hook decides about its bytes. TAMIS_REPLACED goes with tamis_replace. */
typedef enum { TAMIS_KEEP = 0, TAMIS_REPLACED = 1, TAMIS_CUT_OFF = 2 } tamis_chunk_verdict;

/* Each names a function and exports it as a hook; a hook that is not named is never called.
 *
 *   TAMIS_CONFIGURE           const char *function(tamis_json config, tamis_fields inputs)
 *   TAMIS_ON_REQUEST          tamis_verdict function(void)
 *   TAMIS_ON_REQUEST_CHUNK    tamis_chunk_verdict function(tamis_text bytes, bool end)
 *   TAMIS_ON_RESPONSE         tamis_verdict function(void)
 *   TAMIS_ON_RESPONSE_CHUNK   tamis_chunk_verdict function(tamis_text bytes, bool end)
 *   TAMIS_ON_TRAILERS         void request(void), void response(void)
 *   TAMIS_ON_COMPLETE         void function(void)
 *   TAMIS_ON_TICK             void function(void)
 *
 * TAMIS_CONFIGURE must be there. Its function is called before all others, with what `config` holds in the proxy's configuration
 * and with the inputs; it returns NULL, or what is wrong with its path first ("routes[3].path: expected …"): that never goes
 * live. The macros stand at the end of a file, without a semicolon. */
#define TAMIS_CONFIGURE(function)                                                                                         \
    TAMIS_EXPORT("tamis:filter/configure@0.1.0#configure")                                                                \
    void *tamis_export_configure(const char *config, size_t length, const tamis_field *inputs, size_t count) {            \
        tamis_fields given = {inputs, count};                                                                             \
        return tamis_configured(function(tamis_json_of(config, length), given));                                          \
    }                                                                                                                     \
    TAMIS_EXPORT("cabi_post_tamis:filter/configure@0.1.0#configure")                                                      \
    void tamis_export_configure_post(void *result) {                                                                      \
        (void)result;                                                                                                     \
        tamis_release();                                                                                                  \
    }
#define TAMIS_ON_REQUEST(function) TAMIS_VERDICT_HOOK("request-hook@0.1.0#on-request", request, function)
#define TAMIS_ON_RESPONSE(function) TAMIS_VERDICT_HOOK("response-hook@0.1.0#on-response", response, function)
#define TAMIS_ON_REQUEST_CHUNK(function) TAMIS_CHUNK_HOOK("request-chunk-hook@0.1.0#on-request-chunk", request, function)
#define TAMIS_ON_RESPONSE_CHUNK(function) TAMIS_CHUNK_HOOK("response-chunk-hook@0.1.0#on-response-chunk", response, function)
#define TAMIS_ON_TRAILERS(request, response)                                                                              \
    TAMIS_PLAIN_HOOK("trailers-hook@0.1.0#on-request-trailers", request_trailers, request)                                \
    TAMIS_PLAIN_HOOK("trailers-hook@0.1.0#on-response-trailers", response_trailers, response)
#define TAMIS_ON_COMPLETE(function) TAMIS_PLAIN_HOOK("complete-hook@0.1.0#on-complete", complete, function)
#define TAMIS_ON_TICK(function) TAMIS_PLAIN_HOOK("tick-hook@0.1.0#on-tick", tick, function)

/* ---- The request ---- */

/* Readable in every later phase; what is set after the request phase no longer goes upstream. */
tamis_text tamis_request_method(void);
tamis_text tamis_request_scheme(void);
tamis_text tamis_request_authority(void);
tamis_text tamis_request_path(void);
/* None if there is no "?". */
tamis_text tamis_request_query(void);
tamis_text tamis_request_id(void);
/* Whether the exchange has a deadline, and what is left until then. */
bool tamis_request_deadline_left(uint64_t *milliseconds);
const char *tamis_request_set_method(const char *method);
const char *tamis_request_set_authority(const char *authority);
const char *tamis_request_set_target(const char *path_and_query);
/* All values of the name joined by ", ". Where one of several values decides about access, use tamis_request_headers. */
tamis_text tamis_request_header(const char *name);
tamis_texts tamis_request_headers(const char *name);
tamis_fields tamis_request_all_headers(void);
const char *tamis_request_set_header(const char *name, tamis_text value);
const char *tamis_request_add_header(const char *name, tamis_text value);
void tamis_request_remove_header(const char *name);
/* Only in the trailers hook. */
tamis_text tamis_request_trailer(const char *name);
const char *tamis_request_set_trailer(const char *name, tamis_text value);

typedef enum { TAMIS_BODY_READ = 0, TAMIS_BODY_TOO_LARGE, TAMIS_BODY_PEER_GONE, TAMIS_BODY_ALREADY_STREAMED } tamis_body_error;
/* Waits for the whole body, at most limit bytes. It still goes on, unless it is replaced. */
tamis_body_error tamis_request_read_body(uint32_t limit, tamis_text *body);
void tamis_request_set_body(tamis_text body);

/* ---- The response ---- */

uint16_t tamis_response_status(void);
const char *tamis_response_set_status(uint16_t status);
/* "upstream", or the word that the access log has for an answer of the proxy or of a filter. */
tamis_text tamis_response_origin(void);
tamis_text tamis_response_header(const char *name);
tamis_texts tamis_response_headers(const char *name);
tamis_fields tamis_response_all_headers(void);
const char *tamis_response_set_header(const char *name, tamis_text value);
const char *tamis_response_add_header(const char *name, tamis_text value);
void tamis_response_remove_header(const char *name);
tamis_text tamis_response_trailer(const char *name);
const char *tamis_response_set_trailer(const char *name, tamis_text value);
tamis_body_error tamis_response_read_body(uint32_t limit, tamis_text *body);
void tamis_response_set_body(tamis_text body);

/* ---- Answers of the filter's own, and pieces in the place of others ---- */

/* Refused if the status is outside of 200 to 599, or a field is one that tamis_response_set_header refuses. Sent when the hook
 * returns TAMIS_REPLIED. */
const char *tamis_reply(uint16_t status, tamis_fields fields, tamis_text body);
/* Plain text, and the verdict to return. Traps if the status is none. */
tamis_verdict tamis_reply_text(uint16_t status, const char *body);
/* HTTP 200, and this code and message where gRPC clients look for them. */
tamis_verdict tamis_reply_grpc(uint32_t status, const char *message);
tamis_chunk_verdict tamis_replace(tamis_text bytes);

/* ---- Who is speaking ---- */

tamis_text tamis_connection_source(void);
tamis_text tamis_connection_peer(void);
tamis_text tamis_connection_local(void);
tamis_text tamis_connection_original_destination(void);
bool tamis_connection_trusted(void);
tamis_text tamis_connection_listener(void);
tamis_text tamis_connection_protocol(void);
tamis_text tamis_connection_tls_version(void);
tamis_text tamis_connection_server_name(void);
tamis_texts tamis_connection_client_identities(void);
tamis_text tamis_connection_client_fingerprint(void);

/* ---- Where the request goes ---- */

tamis_text tamis_destination_cluster(void);
const char *tamis_destination_set_cluster(const char *name);
const char *tamis_destination_set_fallback(const char *cluster);
const char *tamis_destination_set_endpoint(const char *address);
tamis_text tamis_destination_route(void);
void tamis_destination_set_route(const char *name);
const char *tamis_destination_set_chain(const char *name);
void tamis_destination_set_subset(tamis_fields labels);
void tamis_destination_set_hash_key(tamis_text key);
/* Zero: as long as it likes. */
void tamis_destination_set_timeout(uint32_t milliseconds);
/* Zero for the time of one attempt: none of its own. */
const char *tamis_destination_set_retry(uint32_t attempts, uint32_t per_try_milliseconds, tamis_texts on);
/* The number of the copy finds its result in tamis_outcome_mirrored. */
const char *tamis_destination_mirror(const char *cluster, tamis_fields fields, uint32_t body_limit, uint32_t *copy);
/* Zero: as fast as it can. */
void tamis_destination_set_response_rate(uint64_t bytes_per_second);

/* ---- What lies outside; each must be granted by the filter's `allow` table ---- */

typedef enum {
    TAMIS_CALL_ANSWERED = 0,
    TAMIS_CALL_NOT_ALLOWED,
    TAMIS_CALL_NO_SUCH_CLUSTER,
    TAMIS_CALL_NO_HEALTHY_ENDPOINT,
    TAMIS_CALL_TIMEOUT,
    TAMIS_CALL_RESET,
    TAMIS_CALL_TOO_LARGE,
    TAMIS_CALL_PROTOCOL
} tamis_call_error;
const char *tamis_call_error_word(tamis_call_error error);

typedef struct {
    const char *cluster;
    /* NULL: GET. */
    const char *method;
    /* Path and query; NULL: "/". */
    const char *target;
    /* NULL: the cluster's name. */
    const char *authority;
    tamis_fields fields;
    tamis_text body;
    tamis_fields trailers;
    /* Zero: the proxy's limit. */
    uint32_t timeout_milliseconds;
} tamis_call;

/* Any status is an answer. */
typedef struct {
    tamis_call_error error;
    uint16_t status;
    tamis_fields fields;
    tamis_text body;
    tamis_fields trailers;
} tamis_answer;

tamis_answer tamis_send(const tamis_call *call);
/* All at once, side by side: an answer for each call, in order. */
const tamis_answer *tamis_send_all(const tamis_call *calls, size_t count);
/* The first value of the name. */
tamis_text tamis_find(tamis_fields fields, const char *name);

typedef enum { TAMIS_STORE_DONE = 0, TAMIS_STORE_NOT_ALLOWED, TAMIS_STORE_UNAVAILABLE, TAMIS_STORE_TOO_LARGE } tamis_store_error;
const char *tamis_store_error_word(tamis_store_error error);

/* A time to live of zero is none. No value: there is none. */
tamis_store_error tamis_store_get(const char *store, const char *key, tamis_text *value);
tamis_store_error tamis_store_set(const char *store, const char *key, tamis_text value, uint64_t ttl_milliseconds);
/* Writes only if the present value is the expected one; none: if there is none. */
tamis_store_error tamis_store_compare_and_set(const char *store, const char *key, tamis_text expected, tamis_text value,
                                              uint64_t ttl_milliseconds, bool *written);
tamis_store_error tamis_store_delete(const char *store, const char *key);
tamis_store_error tamis_store_increment(const char *store, const char *key, int64_t by, uint64_t ttl_milliseconds, int64_t *sum);

typedef enum { TAMIS_QUOTA_RATE = 0, TAMIS_QUOTA_CALENDAR, TAMIS_QUOTA_CONCURRENCY } tamis_quota_kind;
typedef struct {
    const char *key;
    tamis_quota_kind kind;
    uint64_t limit, window_milliseconds, burst, cost;
} tamis_ask;
/* UINT64_MAX milliseconds is never. */
typedef struct {
    bool allowed;
    uint64_t remaining, retry_after_milliseconds, reset_after_milliseconds;
} tamis_decision;
/* All or nothing; a decision for each ask, in order. */
tamis_store_error tamis_quota_take(const char *store, const tamis_ask *asks, size_t count, const tamis_decision **decisions);

/* ---- What is told ---- */

tamis_text tamis_note(const char *key);
void tamis_set_note(const char *key, tamis_text value);

typedef enum { TAMIS_TRACE = 0, TAMIS_DEBUG, TAMIS_INFO, TAMIS_WARN, TAMIS_ERROR } tamis_severity;
bool tamis_log_enabled(tamis_severity severity);
void tamis_log(tamis_severity severity, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum { TAMIS_COUNTER = 0, TAMIS_GAUGE, TAMIS_HISTOGRAM } tamis_metric_kind;
/* While the filter is being configured. */
const char *tamis_metric_declare(const char *name, const char *help, tamis_metric_kind kind, tamis_texts labels, uint32_t *metric);
/* Adds to a counter, sets a gauge, or counts in a histogram. */
void tamis_metric_observe(uint32_t metric, tamis_texts labels, double value);

/* ---- Time and chance ---- */

uint64_t tamis_now(void);       /* nanoseconds since the Unix epoch */
uint64_t tamis_monotonic(void); /* nanoseconds since an unknown moment; never goes back */
void tamis_sleep(uint32_t milliseconds);
/* What is drawn while the filter is configured is shared by every copy of the configured instance. */
uint64_t tamis_random(void);
tamis_text tamis_random_bytes(uint32_t count);

/* ---- How it went; only in the complete hook ---- */

uint16_t tamis_outcome_status(void);
uint64_t tamis_outcome_request_bytes(void);
uint64_t tamis_outcome_response_bytes(void);
uint64_t tamis_outcome_duration_microseconds(void);
tamis_text tamis_outcome_upstream(void);
uint32_t tamis_outcome_attempts(void);
tamis_text tamis_outcome_failure(void);
typedef struct {
    uint16_t status; /* zero if no answer came */
    uint64_t body_hash, duration_microseconds;
} tamis_mirrored;
bool tamis_outcome_mirrored(uint32_t copy, tamis_mirrored *result);
tamis_texts tamis_outcome_mirrored_headers(uint32_t copy, const char *name);

/* ---- While the filter is being configured ---- */

/* Only the hooks that are named so are called; without any call, all those are that are exported. */
const char *tamis_setup_want(const char *hook);
void tamis_setup_keep_state(void);
void tamis_setup_tick_every(uint64_t milliseconds);

/* ---- JSON, as the configuration comes ---- */

/* A value, or a place where there is none. */
typedef struct {
    const char *at, *end;
} tamis_json;
typedef enum {
    TAMIS_JSON_NONE = 0,
    TAMIS_JSON_NULL,
    TAMIS_JSON_TRUTH,
    TAMIS_JSON_NUMBER,
    TAMIS_JSON_STRING,
    TAMIS_JSON_LIST,
    TAMIS_JSON_TABLE
} tamis_json_kind;
tamis_json_kind tamis_json_is(tamis_json value);
tamis_json tamis_json_get(tamis_json table, const char *key);
/* for (tamis_json_item item = {0}; tamis_json_each(list, &item);) … The key is none in a list. */
typedef struct {
    tamis_text key;
    tamis_json value;
    size_t index;
    const char *next;
} tamis_json_item;
bool tamis_json_each(tamis_json container, tamis_json_item *item);
/* None if it is no string. */
tamis_text tamis_json_text(tamis_json value);
bool tamis_json_number(tamis_json value, double *number);
/* Only of a whole number that the type holds. */
bool tamis_json_integer(tamis_json value, int64_t *integer);
bool tamis_json_truth(tamis_json value, bool *truth);
/* "path: expected what, found …", to be returned by the function of TAMIS_CONFIGURE. */
const char *tamis_expected(const char *path, const char *what, tamis_json found);
/* NULL if the table has no other keys than these, which a NULL ends. */
const char *tamis_json_only(tamis_json table, const char *const *keys);

/* ---- What the macros are made of ---- */

#define TAMIS_EXPORT(name) __attribute__((export_name(name)))
#define TAMIS_VERDICT_HOOK(name, word, function)                                                                          \
    TAMIS_EXPORT("tamis:filter/" name) int32_t tamis_export_##word(void) {                                                \
        tamis_verdict verdict = function();                                                                               \
        tamis_release();                                                                                                  \
        return verdict;                                                                                                   \
    }
#define TAMIS_CHUNK_HOOK(name, word, function)                                                                            \
    TAMIS_EXPORT("tamis:filter/" name) int32_t tamis_export_##word##_chunk(const char *bytes, size_t length, int32_t end) { \
        tamis_chunk_verdict verdict = function((tamis_text){bytes, length}, end != 0);                                    \
        tamis_release();                                                                                                  \
        return verdict;                                                                                                   \
    }
#define TAMIS_PLAIN_HOOK(name, word, function)                                                                            \
    TAMIS_EXPORT("tamis:filter/" name) void tamis_export_##word(void) {                                                   \
        function();                                                                                                       \
        tamis_release();                                                                                                  \
    }
void tamis_release(void);
void *tamis_configured(const char *refused);
tamis_json tamis_json_of(const char *text, size_t length);

#endif
