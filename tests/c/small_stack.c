/*
 * small_stack.c: R9. Wrapped calls on a signal stack of AT_MINSIGSTKSZ + 2 KiB, with a page behind it that cannot be
 * touched: calls with strings, buffers, lists and formats, and a thread's very first call. lint-flags: -pthread -Wno-stringop-overread */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static volatile int calls;
static int null;

static void
handler(int signal)
{
        (void)signal;
        static char text[64] = "text";
        static struct iovec parts[2] = {{text, 4}, {text, 8}};
        const int fd = open("/nonexistent/file/of/some/length/to/be/kept", O_RDONLY);
        (void)!write(null, text, sizeof text);
        (void)!write(null, (void *)1, 64);
        (void)!read(fd, text, 1);
        (void)!writev(null, parts, 2);
        (void)getppid();
        calls++;
}

static void
on_small_stack(void)
{
        size_t size = getauxval(AT_MINSIGSTKSZ);
        size = (size == 0 ? 2048 : size) + 2048;
        const size_t mapped = (size + 4095) & ~(size_t)4095;
        char *pages = mmap(NULL, mapped + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(pages, 4096, PROT_NONE);
        const stack_t stack = {.ss_sp = pages + 4096, .ss_size = size};
        if (sigaltstack(&stack, NULL) != 0)
                perror("sigaltstack");
        raise(SIGUSR1);
}

static void *
thread(void *unused)
{
        on_small_stack();
        return unused;
}

int
main(void)
{
        null = open("/dev/null", O_WRONLY);
        struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
        sigaction(SIGUSR1, &action, NULL);
        on_small_stack();
        pthread_t other;
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
        printf("%d\n", calls);
        return 0;
}
