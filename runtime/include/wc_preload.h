/*
 * wc_preload.h: for preload libraries that are written by hand: the function that one stands in front of, looked up once.
 *
 *     #include <wc_preload.h>
 *
 *     FUNC(close, int, int)                     the function returns no pointer: name, result, parameters
 *     FUNC_PTR(malloc, void, size_t)            it returns a pointer: name, what it points to, parameters
 *
 *     void *malloc(size_t size)
 *     {
 *             INITIAL(malloc)                   from here on wc_malloc is the next malloc in search order
 *             return wc_malloc(size);
 *     }
 *
 * Build with `cc -shared -fPIC -I$(wc-gen --include-dir) mine.c -o mine.so`, load with the config key "ld_preload".
 * Rules: INITIAL keeps errno and may run in any number of threads at once; wc_NAME is never called as NULL: a function
 * that exists nowhere behind the library says so once on standard error and fails with ENOSYS, as -1 or NULL.
 * Not here: a guard against recursion. A library that calls what it wraps must have its own.
 */
#ifndef WC_PRELOAD_H
#define WC_PRELOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef RTLD_NEXT /* another header came first, without _GNU_SOURCE */
#define RTLD_NEXT ((void *)-1l)
#endif

/* The pointer's type is wc_NAME_handle. */
#define FUNC(name, ret_type, ...)                                                                                          \
        typedef ret_type(*wc_##name##_handle)(__VA_ARGS__);                                                                \
        enum { wc_##name##_fails_as_null = 0 };                                                                            \
        static wc_##name##_handle wc_##name __attribute__((unused)) = NULL;

#define FUNC_PTR(name, ret_type, ...)                                                                                      \
        typedef ret_type *(*wc_##name##_handle)(__VA_ARGS__);                                                              \
        enum { wc_##name##_fails_as_null = 1 };                                                                            \
        static wc_##name##_handle wc_##name __attribute__((unused)) = NULL;

/* With or without a semicolon behind it. */
#define INITIAL(name)                                                                                                      \
        {                                                                                                                  \
                if (__builtin_expect(__atomic_load_n(&wc_##name, __ATOMIC_ACQUIRE) == NULL, 0))                            \
                        __atomic_store_n(&wc_##name,                                                                       \
                                         (wc_##name##_handle)wc_preload_find(#name, wc_##name##_fails_as_null),            \
                                         __ATOMIC_RELEASE);                                                                \
        }

/* What stands in for a function that exists nowhere. */
static inline long
wc_preload_missing(void)
{
        errno = ENOSYS;
        return -1;
}

static inline void *
wc_preload_missing_pointer(void)
{
        errno = ENOSYS;
        return NULL;
}

static inline void
wc_preload_complain(const char *name)
{
        const char *const parts[3] = {"wc_preload: no library behind this one has a function named ", name, "\n"};
        for (int i = 0; i < 3; i++)
                if (write(2, parts[i], strlen(parts[i])) < 0)
                        return;
}

/* The next library in search order, else libc itself (when this library was loaded by dlopen). Never NULL. */
static inline void *
wc_preload_find(const char *name, int fails_as_null)
{
        const int error = errno;
        void *found = dlsym(RTLD_NEXT, name);
        if (found == NULL) {
                void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
                found = libc != NULL ? dlsym(libc, name) : NULL;
                (void)dlerror();
        }
        if (found == NULL) {
                wc_preload_complain(name);
                found = fails_as_null ? (void *)wc_preload_missing_pointer : (void *)wc_preload_missing;
        }
        errno = error;
        return found;
}

#endif
