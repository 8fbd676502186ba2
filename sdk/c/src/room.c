/* Room until the hook returns: blocks, one after the other, given back all at once. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tamis.h"

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

static struct block *newest;

void *tamis_allocate(size_t size) {
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!newest || newest->size - newest->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct block *block = malloc(sizeof(struct block) + room);
        if (!block) __builtin_trap();
        block->next = newest;
        block->used = 0;
        block->size = room;
        newest = block;
    }
    void *at = newest->bytes + newest->used;
    newest->used += size;
    return at;
}

/* The first block stays: most hooks need no more. */
void tamis_release(void) {
    while (newest && newest->next) {
        struct block *last = newest;
        newest = last->next;
        free(last);
    }
    if (newest) newest->used = 0;
}

/* The proxy asks for room here. A zero behind what it puts there makes strings of C. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    char *at = tamis_allocate(size + 1);
    if (old_size) memcpy(at, old, old_size < size ? old_size : size);
    at[size] = 0;
    return at;
}

const char *tamis_format(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = tamis_allocate(length < 0 ? 1 : (size_t)length + 1);
    text[0] = 0;
    if (length > 0) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

/* The generated code wants an object file linked that tells which world the module is for. The names of the exports do. */
void __component_type_object_force_link_tamis(void) {}
