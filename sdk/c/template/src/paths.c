#include "paths.h"

#include <string.h>

bool is_below(const char *path, const char *above) {
    size_t length = strlen(above);
    if (length == 0 || strncmp(path, above, length) != 0) return false;
    return !path[length] || path[length] == '/' || above[length - 1] == '/';
}
