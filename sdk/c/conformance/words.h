/* How steps and their results are written: words between single spaces, with whatever is no plain character as %XX. */
#ifndef WORDS_H
#define WORDS_H

#include <tamis.h>

enum { WORDS_MAX = 64 };

typedef struct {
    tamis_text word[WORDS_MAX];
    size_t count;
} words;

words words_of(tamis_text step);
int64_t number(const words *w, size_t at);
/* Zero for `-`. */
uint64_t milliseconds(const words *w, size_t at);
/* NULL for `-`. */
const char *some(const words *w, size_t at);
/* Names and values from here on. */
tamis_fields pairs(const words *w, size_t at);
/* All words from here on. */
tamis_texts rest(const words *w, size_t at);

/* `=` and the bytes; `none` if there are none. */
const char *value(tamis_text text);
const char *values(tamis_texts texts);
/* Those whose names begin with `x-`. */
const char *fields(tamis_fields all);
/* Two lists of words, either of which may be empty. */
const char *joined(const char *list, const char *word);
const char *encoded(tamis_text text);
/* `ok`, or `!` and why not. */
const char *done(const char *refused);
const char *whole(uint64_t value);
const char *truth(bool value);

#endif
