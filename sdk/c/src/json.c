/* JSON as the proxy writes it: sound by itself, so that what is looked for is found by skipping the rest. */
#include <errno.h>
#include <stdlib.h>

#include "tamis.h"

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end) at++;
    }
    return at < end ? at + 1 : end;
}

/* The end of the value that begins here. */
static const char *skip_value(const char *at, const char *end) {
    size_t depth = 0;
    do {
        at = skip_space(at, end);
        if (at >= end) return end;
        switch (*at) {
        case '"':
            at = skip_string(at, end);
            break;
        case '{':
        case '[':
            depth++;
            at++;
            break;
        case '}':
        case ']':
            if (!depth) return at;
            depth--;
            at++;
            break;
        case ',':
        case ':':
            if (!depth) return at;
            at++;
            break;
        default:
            /* strchr finds the NUL at its end as well, and that is none of these. */
            while (at < end && (!*at || !strchr(",:]} \t\r\n", *at))) at++;
        }
    } while (depth);
    return at;
}

tamis_json tamis_json_of(const char *text, size_t length) {
    const char *end = text + length, *at = skip_space(text, end);
    return (tamis_json){at, skip_value(at, end)};
}

tamis_json_kind tamis_json_is(tamis_json value) {
    if (!value.at || value.at >= value.end) return TAMIS_JSON_NONE;
    switch (*value.at) {
    case '{': return TAMIS_JSON_TABLE;
    case '[': return TAMIS_JSON_LIST;
    case '"': return TAMIS_JSON_STRING;
    case 't':
    case 'f': return TAMIS_JSON_TRUTH;
    case 'n': return TAMIS_JSON_NULL;
    default: return TAMIS_JSON_NUMBER;
    }
}

bool tamis_json_each(tamis_json container, tamis_json_item *item) {
    tamis_json_kind kind = tamis_json_is(container);
    if (kind != TAMIS_JSON_LIST && kind != TAMIS_JSON_TABLE) return false;
    const char *at = item->next ? item->next : container.at + 1;
    at = skip_space(at, container.end);
    if (at < container.end && *at == ',') at = skip_space(at + 1, container.end);
    if (at >= container.end || *at == ']' || *at == '}') return false;
    item->index = item->next ? item->index + 1 : 0;
    item->key = (tamis_text){NULL, 0};
    if (kind == TAMIS_JSON_TABLE) {
        const char *after = skip_string(at, container.end);
        item->key = tamis_json_text((tamis_json){at, after});
        at = skip_space(after, container.end);
        at = skip_space(at < container.end ? at + 1 : at, container.end); /* the colon */
    }
    item->value = (tamis_json){at, skip_value(at, container.end)};
    item->next = item->value.end;
    return true;
}

tamis_json tamis_json_get(tamis_json table, const char *key) {
    tamis_json found = {NULL, NULL};
    if (tamis_json_is(table) != TAMIS_JSON_TABLE) return found;
    for (tamis_json_item item = {0}; tamis_json_each(table, &item);) {
        if (tamis_equal(item.key, key)) found = item.value;
    }
    return found;
}

static uint32_t hexadecimal(const char *digits) {
    uint32_t value = 0;
    for (int at = 0; at < 4; at++) {
        char digit = digits[at];
        value = value * 16 + (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return value;
}

static char *encode(char *to, uint32_t letter) {
    if (letter < 0x80) {
        *to++ = letter;
    } else if (letter < 0x800) {
        *to++ = 0xc0 | letter >> 6;
        *to++ = 0x80 | (letter & 0x3f);
    } else if (letter < 0x10000) {
        *to++ = 0xe0 | letter >> 12;
        *to++ = 0x80 | (letter >> 6 & 0x3f);
        *to++ = 0x80 | (letter & 0x3f);
    } else {
        *to++ = 0xf0 | letter >> 18;
        *to++ = 0x80 | (letter >> 12 & 0x3f);
        *to++ = 0x80 | (letter >> 6 & 0x3f);
        *to++ = 0x80 | (letter & 0x3f);
    }
    return to;
}

tamis_text tamis_json_text(tamis_json value) {
    if (tamis_json_is(value) != TAMIS_JSON_STRING) return (tamis_text){NULL, 0};
    char *text = tamis_allocate(value.end - value.at), *to = text;
    const char *last = value.end - 1;
    for (const char *at = value.at + 1; at < last; at++) {
        if (*at != '\\') {
            *to++ = *at;
            continue;
        }
        at++;
        switch (*at) {
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u': {
            if (last - at < 5) break;
            uint32_t letter = hexadecimal(at + 1);
            at += 4;
            /* Two halves of one that is past 16 bits. */
            if (letter >= 0xd800 && letter < 0xdc00 && last - at >= 7 && at[1] == '\\' && at[2] == 'u') {
                letter = 0x10000 + ((letter - 0xd800) << 10) + (hexadecimal(at + 3) - 0xdc00);
                at += 6;
            }
            to = encode(to, letter);
            break;
        }
        default: *to++ = *at;
        }
    }
    *to = 0;
    return (tamis_text){text, to - text};
}

bool tamis_json_number(tamis_json value, double *number) {
    if (tamis_json_is(value) != TAMIS_JSON_NUMBER) return false;
    *number = strtod(value.at, NULL);
    return true;
}

bool tamis_json_integer(tamis_json value, int64_t *integer) {
    if (tamis_json_is(value) != TAMIS_JSON_NUMBER) return false;
    char *end;
    errno = 0;
    *integer = strtoll(value.at, &end, 10);
    return end == value.end && errno != ERANGE;
}

bool tamis_json_truth(tamis_json value, bool *truth) {
    if (tamis_json_is(value) != TAMIS_JSON_TRUTH) return false;
    *truth = *value.at == 't';
    return true;
}

const char *tamis_expected(const char *path, const char *what, tamis_json found) {
    int length = found.at ? (int)(found.end - found.at) : 0;
    return length ? tamis_format("%s: expected %s, found %.*s", path, what, length, found.at)
                  : tamis_format("%s: expected %s, found nothing", path, what);
}

const char *tamis_json_only(tamis_json table, const char *const *keys) {
    for (tamis_json_item item = {0}; tamis_json_each(table, &item);) {
        const char *const *known = keys;
        while (*known && !tamis_equal(item.key, *known)) known++;
        if (!*known) return tamis_format("%s: unknown key `%s`", item.key.ptr, item.key.ptr);
    }
    return NULL;
}
