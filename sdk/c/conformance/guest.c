/* The conformance guest in C, which sdk/CONFORMANCE.md describes: a request names the steps that each hook takes, the answer
 * tells what each one gave. */
#include <stdlib.h>

#include "steps.h"

/* One instance of the filter. */
static struct {
    const char *greeting;
    struct input {
        const char *name;
        tamis_text content;
    } *inputs;
    size_t input_count;
    uint32_t steps, level, size;
    char *remembered;
} guest = {.greeting = ""};

/* What the steps of a hook came to. */
typedef struct {
    uint16_t status;
    tamis_text body;
    tamis_fields fields;
    const char *message;
    enum { NOTHING, REPLY, GRPC, RESET } what;
} taken;

static bool is(const char *word, const char *name) {
    return strcmp(word, name) == 0;
}

static char *kept(tamis_text text) {
    char *copy = malloc(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    return copy;
}

/* ---- Configuring ---- */

static const char *wants(tamis_json want) {
    for (tamis_json_item item = {0}; tamis_json_each(want, &item);) {
        const char *refused = tamis_setup_want(tamis_json_text(item.value).ptr);
        if (refused) return tamis_format("want[%zu]: %s", item.index, refused);
    }
    return NULL;
}

static const char *check_routes(tamis_json routes) {
    for (tamis_json_item item = {0}; tamis_json_each(routes, &item);) {
        tamis_json path = tamis_json_get(item.value, "path");
        tamis_text text = tamis_json_text(path);
        if (!text.ptr || text.ptr[0] != '/') {
            return tamis_expected(tamis_format("routes[%zu].path", item.index), "a path that begins with \"/\"", path);
        }
    }
    return NULL;
}

static const char *declare(tamis_json config) {
    tamis_text counter = tamis_json_text(tamis_json_get(config, "counter"));
    uint32_t metric;
    if (counter.ptr) {
        const char *refused =
            tamis_metric_declare(counter.ptr, "Declared by the configuration", TAMIS_COUNTER, (tamis_texts){0}, &metric);
        if (refused) return tamis_format("counter: %s", refused);
    }
    tamis_text kind = TAMIS_TEXT("kind");
    const char *refused =
        tamis_metric_declare("conformance_steps_total", "What steps counted", TAMIS_COUNTER, (tamis_texts){&kind, 1}, &guest.steps);
    if (refused) return refused;
    refused = tamis_metric_declare("conformance_level", "What steps set", TAMIS_GAUGE, (tamis_texts){0}, &guest.level);
    if (refused) return refused;
    return tamis_metric_declare("conformance_size", "What steps observed", TAMIS_HISTOGRAM, (tamis_texts){0}, &guest.size);
}

static const char *configure(tamis_json config, tamis_fields inputs) {
    static const char *const keys[] = {"greeting", "keep-state", "tick-every-ms", "want", "routes", "counter", "throw", NULL};
    const char *mistake = tamis_json_only(config, keys);
    if (mistake) return mistake;
    tamis_text throw = tamis_json_text(tamis_json_get(config, "throw"));
    if (throw.ptr) {
        tamis_log(TAMIS_ERROR, "%s", throw.ptr);
        __builtin_trap();
    }
    if ((mistake = check_routes(tamis_json_get(config, "routes")))) return mistake;
    if ((mistake = wants(tamis_json_get(config, "want")))) return mistake;
    bool keep = false;
    if (tamis_json_truth(tamis_json_get(config, "keep-state"), &keep) && keep) tamis_setup_keep_state();
    int64_t period = 0;
    if (tamis_json_integer(tamis_json_get(config, "tick-every-ms"), &period)) tamis_setup_tick_every(period);
    tamis_text greeting = tamis_json_text(tamis_json_get(config, "greeting"));
    if (greeting.ptr) guest.greeting = kept(greeting);
    guest.inputs = calloc(inputs.count + 1, sizeof *guest.inputs);
    guest.input_count = inputs.count;
    for (size_t at = 0; at < inputs.count; at++) {
        tamis_field input = inputs.ptr[at];
        guest.inputs[at] = (struct input){kept(input.name), {kept(input.value), input.value.len}};
    }
    return declare(config);
}

/* ---- Steps ---- */

static const char *reply(const words *w, taken *taken) {
    tamis_fields fields = pairs(w, 3);
    const char *refused = tamis_reply(number(w, 1), fields, w->word[2]);
    if (!refused) {
        taken->status = number(w, 1);
        taken->body = w->word[2];
        taken->fields = fields;
        taken->what = REPLY;
    }
    return done(refused);
}

static const char *own(const words *w, taken *taken) {
    const char *step = w->word[0].ptr;
    if (is(step, "config")) return value(tamis_text_of(guest.greeting));
    if (is(step, "input")) {
        for (size_t at = 0; at < guest.input_count; at++) {
            if (is(guest.inputs[at].name, w->word[1].ptr)) return value(guest.inputs[at].content);
        }
        return "none";
    }
    if (is(step, "recall")) return value(tamis_text_of(guest.remembered));
    if (is(step, "reply")) return reply(w, taken);
    if (is(step, "throw")) tamis_log(TAMIS_ERROR, "%s", w->word[1].ptr);
    if (is(step, "remember")) {
        free(guest.remembered);
        guest.remembered = kept(w->word[1]);
    } else if (is(step, "reply-grpc")) {
        taken->status = number(w, 1);
        taken->message = w->word[2].ptr;
        taken->what = GRPC;
    } else if (is(step, "reset")) {
        taken->what = RESET;
    } else {
        __builtin_trap();
    }
    return "ok";
}

static const char *count(const words *w, const char *function) {
    double number = strtod(w->word[w->count - 1].ptr, NULL);
    if (is(function, "count")) tamis_metric_observe(guest.steps, (tamis_texts){&w->word[1], 1}, number);
    else tamis_metric_observe(is(function, "level") ? guest.level : guest.size, (tamis_texts){0}, number);
    return "ok";
}

static const char *take(tamis_text step, taken *taken) {
    words w = words_of(step);
    const char *name = w.word[0].ptr, *dot = strchr(name, '.'), *result;
    const char *function = dot ? dot + 1 : "";
    size_t length = dot ? (size_t)(dot - name) : strlen(name);
    const char *subject = tamis_format("%.*s", (int)length, name);
    if (is(subject, "request")) result = of_request(&w, function);
    else if (is(subject, "response")) result = of_response(&w, function);
    else if (is(subject, "outcome")) result = of_outcome(&w, function);
    else if (is(subject, "connection")) result = of_connection(function);
    else if (is(subject, "destination")) result = of_destination(&w, function);
    else if (is(subject, "notes")) result = of_notes(&w, function);
    else if (is(subject, "http")) result = of_http(&w, function);
    else if (is(subject, "store")) result = of_store(&w, function);
    else if (is(subject, "quota")) result = of_quota(&w);
    else if (is(subject, "metrics")) result = count(&w, function);
    else if (is(subject, "log") || is(subject, "clock") || is(subject, "entropy")) result = of_system(&w);
    else result = own(&w, taken);
    return tamis_format("%s %s", name, result);
}

/* Takes the steps that the request names for this hook. The note `did` has a line for each step so far. */
static taken take_all(const char *field) {
    taken taken = {0};
    const char *lines = "";
    tamis_texts steps = tamis_request_headers(field);
    for (size_t at = 0; at < steps.count; at++) {
        const char *line = take(steps.ptr[at], &taken);
        lines = *lines ? tamis_format("%s\n%s", lines, line) : line;
    }
    if (*lines) {
        /* A step may have set the note that the lines go to: it is read after them. */
        tamis_text did = tamis_note("did");
        tamis_set_note("did", tamis_text_of(did.ptr ? tamis_format("%s\n%s", did.ptr, lines) : lines));
    }
    return taken;
}

/* The lines of all hooks so far, as fields. */
static tamis_fields lines(tamis_fields first) {
    tamis_text did = tamis_note("did");
    size_t most = first.count + 1;
    for (size_t at = 0; at < did.len; at++) most += did.ptr[at] == '\n';
    tamis_field *all = tamis_allocate(most * sizeof *all);
    if (first.count) memcpy(all, first.ptr, first.count * sizeof *all);
    size_t count = first.count;
    for (const char *at = did.ptr; at;) {
        const char *end = strchr(at, '\n');
        all[count++] = (tamis_field){TAMIS_TEXT("x-did"), {at, end ? (size_t)(end - at) : strlen(at)}};
        at = end ? end + 1 : NULL;
    }
    return (tamis_fields){all, count};
}

static tamis_verdict verdict(const taken *taken) {
    switch (taken->what) {
    case RESET: return TAMIS_RESET;
    case GRPC: return tamis_reply_grpc(taken->status, taken->message);
    case REPLY:
        if (tamis_reply(taken->status, lines(taken->fields), taken->body)) __builtin_trap();
        return TAMIS_REPLIED;
    default: return TAMIS_NEXT;
    }
}

/* ---- Hooks ---- */

static tamis_verdict on_request(void) {
    taken taken = take_all("do-request");
    return verdict(&taken);
}

static tamis_verdict on_response(void) {
    taken taken = take_all("do-response");
    tamis_verdict decided = verdict(&taken);
    if (decided == TAMIS_NEXT) {
        tamis_fields all = lines((tamis_fields){0});
        for (size_t at = 0; at < all.count; at++) {
            if (tamis_response_add_header("x-did", all.ptr[at].value)) __builtin_trap();
        }
    }
    return decided;
}

static tamis_chunk_verdict on_chunk(const char *field, tamis_text bytes, bool end) {
    tamis_text step = tamis_request_header(field);
    if (!step.ptr) return TAMIS_KEEP;
    words w = words_of(step);
    const char *name = w.word[0].ptr;
    if (is(name, "upper")) {
        char *upper = tamis_allocate(bytes.len);
        for (size_t at = 0; at < bytes.len; at++) {
            upper[at] = bytes.ptr[at] >= 'a' && bytes.ptr[at] <= 'z' ? bytes.ptr[at] - 32 : bytes.ptr[at];
        }
        return tamis_replace((tamis_text){upper, bytes.len});
    }
    if (is(name, "drop")) return tamis_replace(TAMIS_TEXT(""));
    if (is(name, "append") && end) {
        char *more = tamis_allocate(bytes.len + w.word[1].len);
        memcpy(more, bytes.ptr, bytes.len);
        memcpy(more + bytes.len, w.word[1].ptr, w.word[1].len);
        return tamis_replace((tamis_text){more, bytes.len + w.word[1].len});
    }
    if (is(name, "keep") || is(name, "append")) return TAMIS_KEEP;
    if (is(name, "reset")) return TAMIS_CUT_OFF;
    __builtin_trap();
}

static tamis_chunk_verdict on_request_chunk(tamis_text bytes, bool end) {
    return on_chunk("do-request-chunk", bytes, end);
}

static tamis_chunk_verdict on_response_chunk(tamis_text bytes, bool end) {
    return on_chunk("do-response-chunk", bytes, end);
}

static void on_request_trailers(void) {
    take_all("do-request-trailers");
}

static void on_response_trailers(void) {
    take_all("do-response-trailers");
}

static void on_complete(void) {
    take_all("do-complete");
    tamis_text id = tamis_request_header("do-id"), did = tamis_note("did");
    if (id.ptr && tamis_store_set("results", id.ptr, did.ptr ? did : TAMIS_TEXT(""), 0)) __builtin_trap();
}

static void on_tick(void) {
    int64_t sum;
    if (tamis_store_increment("results", "ticks", 1, 0, &sum)) __builtin_trap();
}

TAMIS_CONFIGURE(configure)
TAMIS_ON_REQUEST(on_request)
TAMIS_ON_REQUEST_CHUNK(on_request_chunk)
TAMIS_ON_RESPONSE(on_response)
TAMIS_ON_RESPONSE_CHUNK(on_response_chunk)
TAMIS_ON_TRAILERS(on_request_trailers, on_response_trailers)
TAMIS_ON_COMPLETE(on_complete)
TAMIS_ON_TICK(on_tick)
