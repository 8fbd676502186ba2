/* Steps that speak of what lies outside of the exchange. */
#include "steps.h"

static bool is(const char *function, const char *name) {
    return strcmp(function, name) == 0;
}

static const char *answer_of(const tamis_answer *answer) {
    if (answer->error) return tamis_format("!%s", tamis_call_error_word(answer->error));
    return joined(joined(whole(answer->status), fields(answer->fields)), value(answer->body));
}

const char *of_http(const words *w, const char *function) {
    if (is(function, "send")) {
        tamis_call call = {
            .cluster = w->word[1].ptr,
            .method = w->word[2].ptr,
            .target = w->word[3].ptr,
            .timeout_milliseconds = milliseconds(w, 4),
            .authority = some(w, 5),
            .body = w->word[6],
            .fields = pairs(w, 7),
        };
        tamis_answer answer = tamis_send(&call);
        return answer_of(&answer);
    }
    if (is(function, "send-trailers")) {
        tamis_call call = {
            .cluster = w->word[1].ptr,
            .method = "POST",
            .target = w->word[2].ptr,
            .body = w->word[3],
            .trailers = pairs(w, 4),
        };
        tamis_answer answer = tamis_send(&call);
        return answer.error ? answer_of(&answer) : joined(whole(answer.status), fields(answer.trailers));
    }
    size_t count = w->count - 2;
    tamis_call calls[WORDS_MAX] = {0};
    for (size_t at = 0; at < count; at++) {
        calls[at].cluster = w->word[1].ptr;
        calls[at].target = w->word[at + 2].ptr;
    }
    const tamis_answer *answers = tamis_send_all(calls, count);
    const char *list = "";
    for (size_t at = 0; at < count; at++) {
        list = joined(list, answers[at].error ? answer_of(&answers[at]) : whole(answers[at].status));
    }
    return *list ? list : "none";
}

static const char *stored(tamis_store_error error, const char *result) {
    return error ? tamis_format("!%s", tamis_store_error_word(error)) : result;
}

const char *of_store(const words *w, const char *function) {
    const char *store = w->word[1].ptr, *key = w->word[2].ptr;
    if (is(function, "get")) {
        tamis_text found;
        tamis_store_error error = tamis_store_get(store, key, &found);
        return stored(error, value(found));
    }
    if (is(function, "set")) return stored(tamis_store_set(store, key, w->word[3], milliseconds(w, 4)), "ok");
    if (is(function, "delete")) return stored(tamis_store_delete(store, key), "ok");
    if (is(function, "increment")) {
        int64_t sum = 0;
        tamis_store_error error = tamis_store_increment(store, key, number(w, 3), milliseconds(w, 4), &sum);
        return stored(error, tamis_format("%lld", (long long)sum));
    }
    bool written = false;
    tamis_text expected = some(w, 3) ? w->word[3] : (tamis_text){NULL, 0};
    tamis_store_error error = tamis_store_compare_and_set(store, key, expected, w->word[4], milliseconds(w, 5), &written);
    return stored(error, truth(written));
}

const char *of_quota(const words *w) {
    tamis_ask asks[WORDS_MAX / 6];
    size_t count = 0;
    for (size_t at = 2; at + 5 < w->count; at += 6) {
        const char *kind = w->word[at + 1].ptr;
        asks[count++] = (tamis_ask){
            .key = w->word[at].ptr,
            .kind = is(kind, "rate") ? TAMIS_QUOTA_RATE : is(kind, "calendar") ? TAMIS_QUOTA_CALENDAR : TAMIS_QUOTA_CONCURRENCY,
            .limit = number(w, at + 2),
            .window_milliseconds = milliseconds(w, at + 3),
            .burst = number(w, at + 4),
            .cost = number(w, at + 5),
        };
    }
    const tamis_decision *decisions;
    tamis_store_error error = tamis_quota_take(w->word[1].ptr, asks, count, &decisions);
    const char *list = "";
    for (size_t at = 0; !error && at < count; at++) {
        const tamis_decision *one = &decisions[at];
        list = joined(list, tamis_format("%s/%llu/%s", one->allowed ? "allowed" : "refused", (unsigned long long)one->remaining,
                                         one->retry_after_milliseconds ? "later" : "now"));
    }
    return stored(error, list);
}

static tamis_severity severity_of(const char *word) {
    static const char *const words[] = {"trace", "debug", "info", "warn", "error"};
    for (size_t at = 0; at < 5; at++) {
        if (is(word, words[at])) return at;
    }
    __builtin_trap();
}

const char *of_system(const words *w) {
    const char *step = w->word[0].ptr;
    if (is(step, "log.enabled")) return truth(tamis_log_enabled(severity_of(w->word[1].ptr)));
    if (is(step, "clock.now")) return whole(tamis_now());
    if (is(step, "clock.monotonic")) return whole(tamis_monotonic());
    if (is(step, "entropy.next")) return whole(tamis_random());
    if (is(step, "entropy.bytes")) return value(tamis_random_bytes(number(w, 1)));
    if (is(step, "log.write")) tamis_log(severity_of(w->word[1].ptr), "%s", w->word[2].ptr);
    else if (is(step, "clock.sleep")) tamis_sleep(number(w, 1));
    else __builtin_trap();
    return "ok";
}
