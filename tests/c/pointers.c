/*
 * pointers.c: R7. Calls wrapped functions with pointers that cannot be read, or only in part. What each call returns
 * and leaves in errno is printed, a line each, so that a run under a shim can be compared with one without.
 * lint-flags: -Wno-nonnull -Wno-stringop-overread -Wno-stringop-overflow */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void
show(const char *what, long result)
{
        const int error = errno;
        dprintf(1, "%s %ld %d\n", what, result, result < 0 ? error : 0);
}

#define SHOW(what, call)                                                                                               \
        do {                                                                                                           \
                errno = 0;                                                                                             \
                show(what, (long)(call));                                                                              \
        } while (0)

/* The last `size` bytes of a page that is followed by one that cannot be touched. */
static char *
page_end(size_t size)
{
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(pages + 4096, 4096, PROT_NONE);
        return pages + 4096 - size;
}

static char *
text_at_page_end(const char *text)
{
        return strcpy(page_end(strlen(text) + 1), text);
}

int
main(void)
{
        char *const bad = (char *)1;
        char buffer[64] = "0123456789";
        const int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
        int ends[2];
        (void)!pipe(ends);

        SHOW("open bad path", open(bad, O_RDONLY));
        SHOW("open null path", open(NULL, O_RDONLY));
        SHOW("stat bad path", stat(bad, (struct stat *)buffer));
        SHOW("write bad fd and buffer", write(-1, bad, 100));
        SHOW("write to /dev/null", write(null, bad, 100));
        SHOW("write to a pipe", write(ends[1], bad, 100));
        SHOW("write huge", write(null, buffer, SIZE_MAX / 4));
        SHOW("write nothing", write(null, bad, 0));
        SHOW("read bad buffer", read(zero, bad, 100));
        SHOW("read bad fd", read(-1, bad, SIZE_MAX));
        SHOW("pipe bad array", pipe((int *)bad));
        SHOW("readlink bad buffer", readlink("/proc/self/exe", bad, 100));

        struct iovec parts[2] = {{buffer, 5}, {bad, 7}};
        SHOW("writev to a pipe", writev(ends[1], parts, 2));
        SHOW("writev to /dev/null", writev(null, parts, 2));
        SHOW("writev bad iov", writev(null, (struct iovec *)bad, 2));
        SHOW("writev negative count", writev(null, parts, -1));
        SHOW("writev huge count", writev(null, parts, 1 << 30));

        char *page = text_at_page_end("/nonexistent");
        SHOW("open at page end", open(page, O_RDONLY));
        SHOW("open existing at page end", open(text_at_page_end("/dev/null"), O_RDONLY) > 0);
        char *open_end = page_end(40);
        memset(open_end, 'x', 40);
        SHOW("open unterminated", open(open_end, O_RDONLY));
        SHOW("write at page end", write(null, open_end, 40));
        SHOW("write across page end", write(null, open_end, 80));
        SHOW("write across page end to a pipe", write(ends[1], open_end, 80));
        SHOW("read across page end", read(zero, open_end, 80) > 0);
        static char long_path[10000];
        memset(long_path, 'p', sizeof long_path - 1);
        long_path[0] = '/';
        SHOW("open long path", open(long_path, O_RDONLY));
        SHOW("puts at page end", fputs(text_at_page_end(""), stderr) >= 0);

        char *bad_list[] = {"program", bad, NULL};
        char *good_list[] = {"program", NULL};
        SHOW("execve bad path", execve(bad, good_list, good_list));
        SHOW("execve bad argv", execve("/nonexistent/program", (char **)bad, NULL));
        SHOW("execve bad argument", execve("/bin/true", bad_list, NULL));
        SHOW("execv bad list pointer", execv("/nonexistent/program", (char **)page_end(4)));
        errno = 0;
        return 0;
}
