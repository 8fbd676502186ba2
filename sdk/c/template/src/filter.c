/* Closes parts of a site: whoever asks for them is told to come back later. Every answer says that the filter was there. */
#include <stdlib.h>
#include <tamis.h>

#include "paths.h"

/* What the proxy's configuration says in `filters.{name}.config`. */
static struct {
    /* Paths that are closed, with everything below them. Each begins with "/". */
    const char **closed;
    size_t count;
    /* What clients are told to wait, in seconds. */
    int64_t retry_after;
} config = {.retry_after = 60};

/* Called before anything is served. What it refuses never goes live; the path tells the operator where to look. */
static const char *configure(tamis_json given, tamis_fields inputs) {
    (void)inputs;
    const char *mistake = tamis_json_only(given, (const char *[]){"closed", "retry-after", NULL});
    if (mistake) return mistake;

    tamis_json closed = tamis_json_get(given, "closed");
    if (tamis_json_is(closed) != TAMIS_JSON_LIST) return tamis_expected("closed", "a list of paths", closed);
    for (tamis_json_item item = {0}; tamis_json_each(closed, &item);) {
        tamis_text path = tamis_json_text(item.value);
        if (!path.ptr || path.ptr[0] != '/') {
            return tamis_expected(tamis_format("closed[%zu]", item.index), "a path that begins with \"/\"", item.value);
        }
        /* What is to last is copied. */
        config.closed = realloc(config.closed, (config.count + 1) * sizeof *config.closed);
        config.closed[config.count++] = strdup(path.ptr);
    }
    tamis_json retry_after = tamis_json_get(given, "retry-after");
    if (tamis_json_is(retry_after) && !tamis_json_integer(retry_after, &config.retry_after)) {
        return tamis_expected("retry-after", "a number of seconds", retry_after);
    }
    return NULL;
}

/* The closed path that this one lies at or below. */
static const char *closed_at(const char *path) {
    for (size_t at = 0; at < config.count; at++) {
        if (is_below(path, config.closed[at])) return config.closed[at];
    }
    return NULL;
}

/* The head of a request is there: let it pass, change it, or answer it. */
static tamis_verdict on_request(void) {
    tamis_text path = tamis_request_path();
    const char *closed = closed_at(path.ptr);
    if (!closed) return TAMIS_NEXT;
    tamis_log(TAMIS_INFO, "%s asked for %s, which is closed", tamis_connection_source().ptr, path.ptr);
    /* Notes travel with the exchange: to later hooks, and into the access log. */
    tamis_set_note("closed", tamis_text_of(closed));
    tamis_field fields[] = {
        {TAMIS_TEXT("retry-after"), tamis_text_of(tamis_format("%lld", (long long)config.retry_after))},
        TAMIS_FIELD("content-type", "text/plain; charset=utf-8"),
    };
    const char *refused = tamis_reply(503, (tamis_fields){fields, 2}, TAMIS_TEXT("closed for now\n"));
    if (refused) tamis_log(TAMIS_WARN, "no reply: %s", refused);
    return refused ? TAMIS_RESET : TAMIS_REPLIED;
}

/* The head of the answer is there. */
static tamis_verdict on_response(void) {
    const char *refused = tamis_response_set_header("x-filter", TAMIS_TEXT("{name}"));
    if (refused) tamis_log(TAMIS_WARN, "no x-filter: %s", refused);
    return TAMIS_NEXT;
}

TAMIS_CONFIGURE(configure)
TAMIS_ON_REQUEST(on_request)
TAMIS_ON_RESPONSE(on_response)
