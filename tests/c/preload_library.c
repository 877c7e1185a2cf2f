/* preload_library.c: a preload library written by hand, with every macro in every spelling. lint-flags: -Wno-unused-parameter */
#include "wc_preload.h"

FUNC(abs, int, int)
FUNC(rand, int)
FUNC_PTR(fopen, FILE, const char *, const char *);
FUNC(getppid, int)
FUNC(nowhere, int, int)
FUNC_PTR(nowhere_pointer, char, const char *)

int
abs(int x)
{
        INITIAL(abs)
        return 2 * wc_abs(x);
}

int
rand(void)
{
        INITIAL(rand);
        return wc_rand() > 0;
}

FILE *
fopen(const char *path, const char *mode)
{
        INITIAL(fopen)
        FILE *file = wc_fopen(path, mode);
        if (file != NULL)
                printf("opened by %s\n", mode);
        return file;
}

int
getppid(void)
{
        if (wc_getppid == NULL)
                INITIAL(getppid)
        return wc_getppid();
}

int
nowhere(int x)
{
        INITIAL(nowhere)
        return wc_nowhere(x);
}

char *
nowhere_pointer(const char *text)
{
        INITIAL(nowhere_pointer)
        return wc_nowhere_pointer(text);
}
