/*
 * wci_early.c: the bootstrap arena (R11): memory for what dlsym allocates while malloc's family is being resolved.
 *
 * Called by the wrappers of malloc's family only, and only while their pointer is not there yet. Bump allocation; what
 * is freed stays taken; 64 KiB, then NULL, which dlsym survives.
 */
#include "wci_hooks.h"

static _Alignas(64) uint8_t arena[65536];
static size_t used;

/* Every block is preceded by its size, so that realloc and malloc_usable_size know it. */
void *
wci_early_alloc(size_t size, size_t align)
{
        if (align < 16)
                align = 16;
        if (size > sizeof arena || align > 4096)
                return NULL;
        size_t at = __atomic_load_n(&used, __ATOMIC_RELAXED), start;
        do {
                start = (at + sizeof size + align - 1) & ~(align - 1);
                if (start + size > sizeof arena)
                        return NULL;
        } while (!__atomic_compare_exchange_n(&used, &at, start + size, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        __builtin_memcpy(arena + start - sizeof size, &size, sizeof size);
        return arena + start;
}

bool
wci_early_owns(const void *pointer)
{
        return (uintptr_t)pointer - (uintptr_t)arena < sizeof arena;
}

size_t
wci_early_size(const void *pointer)
{
        size_t size;
        __builtin_memcpy(&size, (const uint8_t *)pointer - sizeof size, sizeof size);
        return size;
}

/* The malloc behind us, not our wrapper of it. */
static void *
real_malloc(size_t size)
{
        static void *(*pointer)(size_t);
        static const struct wci_slot slot = {"malloc", NULL, NULL, (void **)&pointer};
        if (pointer == NULL)
                wci_resolve(&slot);
        return pointer != NULL ? pointer(size) : NULL;
}

/* realloc of a block of the arena, or while realloc is being resolved. */
void *
wci_early_move(void *pointer, size_t size)
{
        uint8_t *to = wci_tls.resolving != 0 ? wci_early_alloc(size, 16) : real_malloc(size);
        if (to == NULL || pointer == NULL)
                return to;
        const size_t have = wci_early_size(pointer);
        for (size_t i = 0; i < have && i < size; i++) {
                __asm__ volatile("" ::: "memory"); /* stays a loop: memcpy may be our own wrapper */
                to[i] = ((const uint8_t *)pointer)[i];
        }
        return to;
}
