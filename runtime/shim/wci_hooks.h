/*
 * wci_hooks.h: what some wrappers do besides recording. Included by generated wrappers.
 *
 * Hooks run whether or not the function is a target: exec and spawn write EXEC records and may renew the environment,
 * prctl and syscall look for seccomp (R9), mlockall frees what it would lock, malloc's family serves dlsym (R11).
 */
#ifndef WCI_HOOKS_H
#define WCI_HOOKS_H

#include "wci_shim.h"

#include <sys/types.h>

extern char **__environ; /* what execv and its kin take */

/*
 * An EXEC record: before exec* (pid 0: ourselves), after a successful posix_spawn* (pid of the child). An exec* that
 * returned has failed: its CALL record then replaces the EXEC record, and is not counted again.
 */
WCI_HIDDEN void wci_hook_exec(struct wci_call *call, bool traced, uint32_t symbol, const char *path, uint32_t pid);

/*
 * --follow all, and of --follow none the program's own exec: entries that the environment needs besides its own, and
 * the environment with them (in room).
 */
WCI_HIDDEN uint32_t wci_environment_more(char *const *environment, bool of_child);
WCI_HIDDEN char *const *wci_environment_with(char *const *environment, char **room);

WCI_HIDDEN void wci_hook_prctl(int option, unsigned long argument);
WCI_HIDDEN void wci_hook_syscall(long number, unsigned long first, unsigned long second);
WCI_HIDDEN void wci_hook_mlockall(void);
/* Before unshare and setns, which refuse processes of several threads: wci_control.c's ends. */
WCI_HIDDEN void wci_control_end(void);

WCI_HIDDEN void *wci_early_alloc(size_t size, size_t align);
WCI_HIDDEN bool wci_early_owns(const void *pointer);
WCI_HIDDEN size_t wci_early_size(const void *pointer);
WCI_HIDDEN void *wci_early_move(void *pointer, size_t size);

#endif
