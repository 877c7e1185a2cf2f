/*
 * wct_image.c: what of an executed image the tracer shows: all, or beside a shim only what no shim can show.
 *
 * Called by wct_process.c at an exec and by wct_attach.c.  A shim is in an image when everything holds that ld.so asks for:
 * the program has glibc's interpreter, is not run with privileges of another, and its environment has LD_PRELOAD with the
 * shim, and WC_SESSION with this session, which the shim itself asks for.
 *
 * Absent on purpose: looking for the shim among the mapped files: at the exec nothing but the program and ld.so is there.
 */
#define _GNU_SOURCE
#include "wct_image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRONMENT_LIMIT (8u << 20) /* no kernel lets an exec have more */

static int
open_of(pid_t pid, const char *what)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
        return open(path, O_RDONLY | O_CLOEXEC);
}

/* The environment as it was at the exec, NUL-terminated strings and one NUL more; the caller frees it. */
static char *
environment_of(pid_t pid)
{
        size_t used = 0, room = 65536;
        const int fd = open_of(pid, "environ");
        char *text = fd < 0 ? NULL : malloc(room + 2);
        ssize_t size = 0;
        while (text != NULL && (size = read(fd, text + used, room - used)) > 0) {
                used += (size_t)size;
                if (used < room || room >= ENVIRONMENT_LIMIT)
                        continue;
                char *larger = realloc(text, room * 2 + 2);
                if (larger == NULL)
                        break;
                text = larger;
                room *= 2;
        }
        if (text != NULL)
                text[used] = text[used + 1] = 0;
        if (fd >= 0)
                close(fd);
        return text;
}

/* The value that getenv would find. */
static const char *
variable(const char *environment, const char *prefix)
{
        for (const char *at = environment; *at != 0; at += strlen(at) + 1)
                if (strncmp(at, prefix, strlen(prefix)) == 0)
                        return at + strlen(prefix);
        return NULL;
}

static bool
environment_has_shim(pid_t pid)
{
        const char *shim = wct_text(wct_plan.head->shim);
        char *environment = *shim == 0 ? NULL : environment_of(pid);
        if (environment == NULL)
                return false;
        const char *preload = variable(environment, "LD_PRELOAD="), *session = variable(environment, "WC_SESSION=");
        const bool has = preload != NULL && session != NULL && strstr(preload, shim) != NULL &&
                         strcmp(session, wct_session.path) == 0;
        free(environment);
        return has;
}

uint64_t
wct_image_key(pid_t pid)
{
        uint64_t words[128], key = 0xcbf29ce484222325u; /* FNV-1a, by words */
        const int fd = open_of(pid, "auxv");
        const ssize_t size = fd < 0 ? 0 : read(fd, words, sizeof words);
        for (size_t i = 0; size > 0 && i < (size_t)size / sizeof *words; i++)
                key = (key ^ words[i]) * 0x100000001b3u;
        if (fd >= 0)
                close(fd);
        return key;
}

/* AT_SECURE: ld.so takes no LD_PRELOAD then. */
static bool
is_secure(pid_t pid)
{
        Elf64_auxv_t vector[64];
        const int fd = open_of(pid, "auxv");
        if (fd < 0)
                return true;
        const ssize_t size = read(fd, vector, sizeof vector);
        close(fd);
        for (size_t i = 0; size > 0 && i < (size_t)size / sizeof *vector; i++)
                if (vector[i].a_type == AT_SECURE)
                        return vector[i].a_un.a_val != 0;
        return true; /* a program of another word size, which takes no shim of ours */
}

/* glibc's ld.so loads it; a static program has no interpreter, and musl's cannot load the shim. */
static bool
has_glibc_interpreter(pid_t pid)
{
        char path[256];
        Elf64_Ehdr head;
        Elf64_Phdr part;
        bool found = false;
        const int fd = open_of(pid, "exe");
        if (fd < 0)
                return false;
        if (pread(fd, &head, sizeof head, 0) != sizeof head || head.e_ident[EI_CLASS] != ELFCLASS64)
                head.e_phnum = 0;
        for (unsigned i = 0; i < head.e_phnum && !found; i++) {
                if (pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) != sizeof part)
                        break;
                if (part.p_type != PT_INTERP)
                        continue;
                const ssize_t size = pread(fd, path, part.p_filesz < sizeof path ? part.p_filesz : sizeof path - 1,
                                           (off_t)part.p_offset);
                path[size < 0 ? 0 : size < (ssize_t)sizeof path ? size : (ssize_t)sizeof path - 1] = 0;
                found = strstr(path, "ld-linux") != NULL;
        }
        close(fd);
        return found;
}

enum wct_coverage
wct_image_coverage(pid_t pid)
{
        if (wct_session.mode == WCT_COVER_ALL)
                return WCT_EVERYTHING;
        const bool shim = environment_has_shim(pid) && has_glibc_interpreter(pid) && !is_secure(pid);
        return shim ? WCT_TARGETS : WCT_EVERYTHING;
}

void
wct_image_program(pid_t pid, char *into, size_t room)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/exe", pid);
        const ssize_t size = readlink(path, into, room - 1);
        into[size < 0 ? 0 : size] = 0;
}
