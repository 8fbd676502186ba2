/* How values of tamis.h are those of the generated code. */
#ifndef TAMIS_BORDER_H
#define TAMIS_BORDER_H

#include "../generated/imports.h"
#include "tamis.h"

/* The proxy takes UTF-8 only where text is meant: a byte that is none of it becomes a question mark. */
tamis_string_t tamis_clean(tamis_text text);

static inline tamis_string_t in(const char *string) {
    return tamis_clean(tamis_text_of(string));
}
static inline tamis_list_u8_t in_bytes(tamis_text text) {
    tamis_list_u8_t bytes = {(uint8_t *)text.ptr, text.len};
    return bytes;
}
static inline tamis_text out(tamis_string_t string) {
    tamis_text text = {(const char *)string.ptr, string.len};
    return text;
}
static inline tamis_text out_bytes(tamis_list_u8_t bytes) {
    tamis_text text = {(const char *)bytes.ptr, bytes.len};
    return text;
}
static inline const char *out_reason(bool fine, tamis_string_t reason) {
    return fine ? NULL : (const char *)reason.ptr;
}
#define NONE ((tamis_text){NULL, 0})

/* The same lists with clean names; values of labels are text as well. */
tamis_filter_types_field_t *tamis_in_fields(tamis_fields fields);
tamis_list_string_t tamis_in_texts(tamis_texts texts);
tamis_texts tamis_out_texts(void *list, size_t count);
tamis_fields tamis_out_fields(const tamis_filter_types_field_t *fields, size_t count);
tamis_fields tamis_unpack(tamis_list_u8_t packed);

#endif
