/* pointer.c: the least that any preload library costs: a cached pointer and nothing else. */
#define _GNU_SOURCE
#include <dlfcn.h>

static int (*wc_abs)(int);

int
abs(int j)
{
        if (__builtin_expect(wc_abs == 0, 0))
                *(void **)&wc_abs = dlsym(RTLD_NEXT, "abs");
        return wc_abs(j);
}
