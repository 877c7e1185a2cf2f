/*
 * breaks_loads.c: loads the library that is its argument several times, in between unloads it, and calls what is in it.
 */
#include <dlfcn.h>
#include <stdio.h>

static int
use(const char *library)
{
        void *handle = dlopen(library, RTLD_NOW);
        if (handle == NULL)
                return 100;
        int (*outer)(int) = (int (*)(int))dlsym(handle, "f_outer");
        int (*inner)(int) = (int (*)(int))dlsym(handle, "f_inner");
        int (*chosen)(int) = (int (*)(int))dlsym(handle, "f_chosen");
        const int wrong = (outer(1) != 4) + (inner(1) != 2) + (chosen(1) != 101);
        dlclose(handle);
        return wrong;
}

int
main(int count, char **arguments)
{
        int wrong = 0;
        for (int i = 0; count > 1 && i < 10; i++)
                wrong += use(arguments[1]);
        printf("expect f_outer 10 10\nexpect f_inner 10 10\nexpect f_chosen 10 10\n");
        return wrong;
}
