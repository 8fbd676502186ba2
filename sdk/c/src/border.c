#include "border.h"

/* How many bytes the character has that begins here; 0 if none does. */
static size_t character(const unsigned char *at, size_t room) {
    unsigned char lead = at[0];
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (room < length) return 0;
    /* Too long a form, half of a surrogate pair, past the last character. */
    if ((lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f)) return 0;
    if ((lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] > 0x8f)) return 0;
    for (size_t step = 1; step < length; step++) {
        if ((at[step] & 0xc0) != 0x80) return 0;
    }
    return length;
}

tamis_string_t tamis_clean(tamis_text text) {
    tamis_string_t clean = {(uint8_t *)text.ptr, text.len};
    bool copied = false;
    for (size_t at = 0; at < text.len;) {
        size_t length = character(clean.ptr + at, text.len - at);
        if (!length) {
            if (!copied) {
                clean.ptr = memcpy(tamis_allocate(text.len), text.ptr, text.len);
                copied = true;
            }
            clean.ptr[at] = '?';
            length = 1;
        }
        at += length;
    }
    return clean;
}

tamis_filter_types_field_t *tamis_in_fields(tamis_fields fields) {
    tamis_filter_types_field_t *list = tamis_allocate(fields.count * sizeof *list);
    for (size_t at = 0; at < fields.count; at++) {
        list[at].name = tamis_clean(fields.ptr[at].name);
        list[at].value = in_bytes(fields.ptr[at].value);
    }
    return list;
}

tamis_list_string_t tamis_in_texts(tamis_texts texts) {
    tamis_list_string_t list = {tamis_allocate(texts.count * sizeof(tamis_string_t)), texts.count};
    for (size_t at = 0; at < texts.count; at++) list.ptr[at] = tamis_clean(texts.ptr[at]);
    return list;
}

/* Lists of strings and lists of lists of bytes lie in memory alike. */
tamis_texts tamis_out_texts(void *list, size_t count) {
    tamis_text *texts = tamis_allocate(count * sizeof *texts);
    for (size_t at = 0; at < count; at++) texts[at] = out_bytes(((tamis_list_u8_t *)list)[at]);
    return (tamis_texts){texts, count};
}

tamis_fields tamis_out_fields(const tamis_filter_types_field_t *fields, size_t count) {
    tamis_field *list = tamis_allocate(count * sizeof *list);
    for (size_t at = 0; at < count; at++) list[at] = (tamis_field){out(fields[at].name), out_bytes(fields[at].value)};
    return (tamis_fields){list, count};
}

static size_t unpack_number(const uint8_t **at) {
    uint32_t number;
    memcpy(&number, *at, sizeof number);
    *at += sizeof number;
    return number;
}

/* A piece of the packed form, with a zero behind it. */
static tamis_text unpack_text(const uint8_t **at) {
    size_t length = unpack_number(at);
    char *text = tamis_allocate(length + 1);
    memcpy(text, *at, length);
    text[length] = 0;
    *at += length;
    return (tamis_text){text, length};
}

tamis_fields tamis_unpack(tamis_list_u8_t packed) {
    const uint8_t *at = packed.ptr;
    size_t count = unpack_number(&at);
    tamis_field *fields = tamis_allocate(count * sizeof *fields);
    for (size_t field = 0; field < count; field++) {
        fields[field].name = unpack_text(&at);
        fields[field].value = unpack_text(&at);
    }
    return (tamis_fields){fields, count};
}

/* A result without a value, or the text why it is none. */
void *tamis_configured(const char *refused) {
    static struct {
        uint32_t refused;
        tamis_string_t why;
    } result;
    result.refused = refused != NULL;
    if (refused) result.why = in(refused);
    return &result;
}
