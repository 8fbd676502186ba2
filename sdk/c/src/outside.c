/* Calls, stores, quotas, notes, metrics, the log, time and chance. */
#include <stdarg.h>
#include <stdio.h>

#include "border.h"

static tamis_filter_http_client_outgoing_t outgoing(const tamis_call *call) {
    tamis_filter_http_client_outgoing_t made = {
        .cluster = in(call->cluster),
        .method = in(call->method ? call->method : "GET"),
        .target = in(call->target ? call->target : "/"),
        .authority = {call->authority != NULL, in(call->authority)},
        .fields = {tamis_in_fields(call->fields), call->fields.count},
        .body = in_bytes(call->body),
        .trailers = {tamis_in_fields(call->trailers), call->trailers.count},
        .timeout_ms = call->timeout_milliseconds,
    };
    return made;
}

static tamis_answer answered(const tamis_filter_http_client_incoming_t *answer) {
    return (tamis_answer){
        .status = answer->status,
        .fields = tamis_out_fields(answer->fields.ptr, answer->fields.len),
        .body = out_bytes(answer->body),
        .trailers = tamis_out_fields(answer->trailers.ptr, answer->trailers.len),
    };
}

static tamis_answer unanswered(tamis_filter_http_client_error_t error) {
    return (tamis_answer){.error = TAMIS_CALL_NOT_ALLOWED + error};
}

tamis_answer tamis_send(const tamis_call *call) {
    tamis_filter_http_client_outgoing_t request = outgoing(call);
    tamis_filter_http_client_incoming_t answer;
    tamis_filter_http_client_error_t error;
    return tamis_filter_http_client_send(&request, &answer, &error) ? answered(&answer) : unanswered(error);
}

const tamis_answer *tamis_send_all(const tamis_call *calls, size_t count) {
    tamis_filter_http_client_list_outgoing_t requests = {tamis_allocate(count * sizeof *requests.ptr), count};
    for (size_t at = 0; at < count; at++) requests.ptr[at] = outgoing(&calls[at]);
    tamis_filter_http_client_list_result_incoming_error_t results;
    tamis_filter_http_client_send_all(&requests, &results);
    tamis_answer *answers = tamis_allocate(count * sizeof *answers);
    for (size_t at = 0; at < results.len; at++) {
        tamis_filter_http_client_result_incoming_error_t *result = &results.ptr[at];
        answers[at] = result->is_err ? unanswered(result->val.err) : answered(&result->val.ok);
    }
    return answers;
}

const char *tamis_call_error_word(tamis_call_error error) {
    static const char *const words[] = {"answered", "not-allowed", "no-such-cluster", "no-healthy-endpoint",
                                        "timeout",  "reset",       "too-large",       "protocol"};
    return words[error];
}

static char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

tamis_text tamis_find(tamis_fields fields, const char *name) {
    for (size_t field = 0; field < fields.count; field++) {
        tamis_text found = fields.ptr[field].name;
        size_t at = 0;
        while (at < found.len && name[at] && lower(name[at]) == lower(found.ptr[at])) at++;
        if (at == found.len && !name[at]) return fields.ptr[field].value;
    }
    return NONE;
}

static tamis_store_error failed(tamis_filter_store_error_t error) {
    return TAMIS_STORE_NOT_ALLOWED + error;
}

const char *tamis_store_error_word(tamis_store_error error) {
    static const char *const words[] = {"done", "not-allowed", "unavailable", "too-large"};
    return words[error];
}

tamis_store_error tamis_store_get(const char *store, const char *key, tamis_text *value) {
    tamis_string_t name = in(store), of = in(key);
    tamis_option_list_u8_t found;
    tamis_filter_store_error_t error;
    *value = NONE;
    if (!tamis_filter_store_get(&name, &of, &found, &error)) return failed(error);
    if (found.is_some) *value = out_bytes(found.val);
    return TAMIS_STORE_DONE;
}

tamis_store_error tamis_store_set(const char *store, const char *key, tamis_text value, uint64_t ttl) {
    tamis_string_t name = in(store), of = in(key);
    tamis_list_u8_t bytes = in_bytes(value);
    tamis_filter_store_error_t error;
    bool done = tamis_filter_store_set(&name, &of, &bytes, ttl ? &ttl : NULL, &error);
    return done ? TAMIS_STORE_DONE : failed(error);
}

tamis_store_error tamis_store_compare_and_set(const char *store, const char *key, tamis_text expected, tamis_text value,
                                              uint64_t ttl, bool *written) {
    tamis_string_t name = in(store), of = in(key);
    tamis_list_u8_t present = in_bytes(expected), bytes = in_bytes(value);
    tamis_filter_store_error_t error;
    bool done = tamis_filter_store_compare_and_set(&name, &of, expected.ptr ? &present : NULL, &bytes, ttl ? &ttl : NULL,
                                                   written, &error);
    return done ? TAMIS_STORE_DONE : failed(error);
}

tamis_store_error tamis_store_delete(const char *store, const char *key) {
    tamis_string_t name = in(store), of = in(key);
    tamis_filter_store_error_t error;
    return tamis_filter_store_delete(&name, &of, &error) ? TAMIS_STORE_DONE : failed(error);
}

tamis_store_error tamis_store_increment(const char *store, const char *key, int64_t by, uint64_t ttl, int64_t *sum) {
    tamis_string_t name = in(store), of = in(key);
    tamis_filter_store_error_t error;
    bool done = tamis_filter_store_increment(&name, &of, by, ttl ? &ttl : NULL, sum, &error);
    return done ? TAMIS_STORE_DONE : failed(error);
}

tamis_store_error tamis_quota_take(const char *store, const tamis_ask *asks, size_t count, const tamis_decision **decisions) {
    tamis_string_t name = in(store);
    tamis_filter_quota_list_ask_t list = {tamis_allocate(count * sizeof *list.ptr), count};
    for (size_t at = 0; at < count; at++) {
        const tamis_ask *ask = &asks[at];
        list.ptr[at] = (tamis_filter_quota_ask_t){in(ask->key),           ask->kind,  ask->limit,
                                                  ask->window_milliseconds, ask->burst, ask->cost};
    }
    tamis_filter_quota_list_decision_t found;
    tamis_filter_quota_error_t error;
    if (!tamis_filter_quota_take(&name, &list, &found, &error)) return failed(error);
    tamis_decision *made = tamis_allocate(found.len * sizeof *made);
    for (size_t at = 0; at < found.len; at++) {
        tamis_filter_quota_decision_t *one = &found.ptr[at];
        made[at] = (tamis_decision){one->allowed, one->remaining, one->retry_after_ms, one->reset_after_ms};
    }
    *decisions = made;
    return TAMIS_STORE_DONE;
}

tamis_text tamis_note(const char *key) {
    tamis_string_t name = in(key), value;
    return tamis_filter_notes_get(&name, &value) ? out(value) : NONE;
}

void tamis_set_note(const char *key, tamis_text value) {
    tamis_string_t name = in(key), text = tamis_clean(value);
    tamis_filter_notes_set(&name, &text);
}

bool tamis_log_enabled(tamis_severity severity) {
    return tamis_filter_log_enabled(severity);
}

void tamis_log(tamis_severity severity, const char *format, ...) {
    if (!tamis_log_enabled(severity)) return;
    /* Longer lines are cut by the proxy. One piece of memory for all: what is allocated stays until the hook returns, and a hook
       may write many. Nobody else runs before the line is written. */
    enum { LINE_BYTES = 8193 };
    static char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, LINE_BYTES, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    tamis_string_t message = in(line);
    tamis_filter_log_write(severity, &message);
}

const char *tamis_metric_declare(const char *name, const char *help, tamis_metric_kind kind, tamis_texts labels, uint32_t *metric) {
    tamis_string_t known = in(name), about = in(help), reason;
    tamis_list_string_t list = tamis_in_texts(labels);
    bool fine = tamis_filter_metrics_declare(&known, &about, kind, &list, metric, &reason);
    return out_reason(fine, reason);
}

void tamis_metric_observe(uint32_t metric, tamis_texts labels, double value) {
    tamis_list_string_t list = tamis_in_texts(labels);
    tamis_filter_metrics_observe(metric, &list, value);
}

uint64_t tamis_now(void) {
    return tamis_filter_clock_now_ns();
}

uint64_t tamis_monotonic(void) {
    return tamis_filter_clock_monotonic_ns();
}

void tamis_sleep(uint32_t milliseconds) {
    tamis_filter_clock_sleep_ms(milliseconds);
}

uint64_t tamis_random(void) {
    return tamis_filter_entropy_next();
}

tamis_text tamis_random_bytes(uint32_t count) {
    tamis_list_u8_t bytes;
    tamis_filter_entropy_bytes(count, &bytes);
    return out_bytes(bytes);
}
