/* Runs natively (`make test`): no proxy is needed, and no Wasm. */
#include <stdio.h>

#include "../src/paths.h"

static const struct {
    const char *path, *above;
    bool below;
} cases[] = {
    {"/shop", "/shop", true},
    {"/shop/7", "/shop", true},
    {"/shop/7", "/shop/", true},
    {"/shopping", "/shop", false},
    {"/blog/shop", "/shop", false},
    {"/shop", "/shop/7", false},
};

int main(void) {
    int failed = 0;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        if (is_below(cases[at].path, cases[at].above) == cases[at].below) continue;
        fprintf(stderr, "%s is %sbelow %s\n", cases[at].path, cases[at].below ? "" : "not ", cases[at].above);
        failed++;
    }
    printf("%zu cases, %d failed\n", sizeof cases / sizeof *cases, failed);
    return failed != 0;
}
