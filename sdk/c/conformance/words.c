#include "words.h"

#include <ctype.h>
#include <stdlib.h>

static int digit(char letter) {
    return isxdigit((unsigned char)letter) ? (isdigit((unsigned char)letter) ? letter - '0' : toupper(letter) - 'A' + 10) : -1;
}

/* `%` alone is the empty word. */
static tamis_text decoded(const char *word, size_t length) {
    char *text = tamis_allocate(length + 1), *to = text;
    for (size_t at = 0; at < length; at++) {
        if (word[at] == '%' && length == 1) break;
        if (word[at] == '%' && at + 2 < length && digit(word[at + 1]) >= 0 && digit(word[at + 2]) >= 0) {
            *to++ = (char)(digit(word[at + 1]) * 16 + digit(word[at + 2]));
            at += 2;
        } else {
            *to++ = word[at];
        }
    }
    *to = 0;
    return (tamis_text){text, to - text};
}

words words_of(tamis_text step) {
    words w = {.count = 0};
    const char *at = step.ptr, *end = step.ptr + step.len;
    while (at <= end && w.count < WORDS_MAX) {
        const char *space = memchr(at, ' ', end - at);
        const char *stop = space ? space : end;
        w.word[w.count++] = decoded(at, stop - at);
        at = stop + 1;
    }
    return w;
}

int64_t number(const words *w, size_t at) {
    return strtoll(w->word[at].ptr, NULL, 10);
}

const char *some(const words *w, size_t at) {
    return strcmp(w->word[at].ptr, "-") == 0 ? NULL : w->word[at].ptr;
}

uint64_t milliseconds(const words *w, size_t at) {
    return some(w, at) ? number(w, at) : 0;
}

tamis_fields pairs(const words *w, size_t at) {
    tamis_field *list = tamis_allocate(sizeof(tamis_field) * WORDS_MAX);
    size_t count = 0;
    for (; at + 1 < w->count; at += 2) list[count++] = (tamis_field){w->word[at], w->word[at + 1]};
    return (tamis_fields){list, count};
}

tamis_texts rest(const words *w, size_t at) {
    return (tamis_texts){w->word + at, w->count > at ? w->count - at : 0};
}

const char *encoded(tamis_text text) {
    char *all = tamis_allocate(text.len * 3 + 1), *to = all;
    for (size_t at = 0; at < text.len; at++) {
        unsigned char byte = text.ptr[at];
        if (byte > 0x20 && byte < 0x7f && byte != '%') {
            *to++ = byte;
        } else {
            *to++ = '%';
            *to++ = "0123456789ABCDEF"[byte >> 4];
            *to++ = "0123456789ABCDEF"[byte & 15];
        }
    }
    *to = 0;
    return all;
}

const char *value(tamis_text text) {
    return text.ptr ? tamis_format("=%s", encoded(text)) : "none";
}

const char *joined(const char *list, const char *word) {
    return *list && *word ? tamis_format("%s %s", list, word) : *list ? list : word;
}

static const char *or_none(const char *list) {
    return *list ? list : "none";
}

const char *values(tamis_texts texts) {
    const char *list = "";
    for (size_t at = 0; at < texts.count; at++) list = joined(list, value(texts.ptr[at]));
    return or_none(list);
}

const char *fields(tamis_fields all) {
    const char *list = "";
    for (size_t at = 0; at < all.count; at++) {
        const tamis_field *field = &all.ptr[at];
        if (strncmp(field->name.ptr, "x-", 2) == 0) {
            list = joined(list, tamis_format("%s%s", field->name.ptr, value(field->value)));
        }
    }
    return list;
}

const char *done(const char *refused) {
    return refused ? tamis_format("!%s", encoded(tamis_text_of(refused))) : "ok";
}

const char *whole(uint64_t value) {
    return tamis_format("%llu", (unsigned long long)value);
}

const char *truth(bool value) {
    return value ? "true" : "false";
}
