/* Which paths lie where. It knows nothing of the proxy, so that it is tested natively: test/paths.c. */
#ifndef PATHS_H
#define PATHS_H

#include <stdbool.h>

/* Whether a path is this one, or below it. */
bool is_below(const char *path, const char *above);

#endif
