#include "wc_preload.h"

FUNC_PTR(malloc, void, size_t)

void* malloc(size_t size) {
    INITIAL(malloc)
    return wc_malloc(size);
}
