/* The steps of sdk/CONFORMANCE.md, by what they are about. Each gives the result as it is written. */
#ifndef STEPS_H
#define STEPS_H

#include "words.h"

const char *of_request(const words *w, const char *function);
const char *of_response(const words *w, const char *function);
const char *of_outcome(const words *w, const char *function);
const char *of_connection(const char *function);
const char *of_destination(const words *w, const char *function);
const char *of_notes(const words *w, const char *function);
const char *of_http(const words *w, const char *function);
const char *of_store(const words *w, const char *function);
const char *of_quota(const words *w);
const char *of_system(const words *w);

#endif
