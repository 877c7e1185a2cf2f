/*
 * breaks_lives.c: threads that call f_busy until a line comes on standard input; then says whether its code is what it was
 * at the start, and whether memory that is executable has been left in it. Argument: the number of threads.
 *
 * Prints "ready" first, and at the end "calls N", "code same|changed", "executable same|more", "errors N".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 64

static volatile int over;
static long calls[MOST], errors[MOST];

__attribute__((noinline, noipa)) int
f_busy(int n)
{
        __asm__ volatile("");
        return n + 1;
}

__attribute__((noinline, noipa)) int
f_sleeps(int n)
{
        const struct timespec pause = {0, 200000};
        nanosleep(&pause, NULL);
        return n + 1;
}

static void *
thread(void *mine)
{
        const long me = (long)mine;
        while (!over) {
                errors[me] += f_busy((int)me) != me + 1;
                calls[me]++;
                errors[me] += calls[me] % 16 == 0 && f_sleeps((int)me) != me + 1;
        }
        return NULL;
}

static int
add_code(struct dl_phdr_info *info, size_t size, void *sum)
{
        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const unsigned char *at = (const unsigned char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
                        continue;
                for (size_t n = 0; n < info->dlpi_phdr[i].p_memsz; n++)
                        *(uint64_t *)sum = *(uint64_t *)sum * 31 + at[n];
        }
        return 0;
}

static uint64_t
code(void)
{
        uint64_t sum = 0;
        dl_iterate_phdr(add_code, &sum);
        return sum;
}

static int
executable(void)
{
        char line[512];
        int count = 0;
        FILE *maps = fopen("/proc/self/maps", "r");
        while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
                count += strstr(line, "r-xp") != NULL;
        if (maps != NULL)
                fclose(maps);
        return count;
}

int
main(int count, char **arguments)
{
        pthread_t all[MOST];
        char line[16];
        const int threads = count > 1 ? atoi(arguments[1]) : 1;
        setvbuf(stdout, NULL, _IONBF, 0);
        const uint64_t code_before = code();
        const int executable_before = executable();
        for (long i = 0; i < threads; i++)
                pthread_create(&all[i], NULL, thread, (void *)i);
        puts("ready");
        while (fgets(line, sizeof line, stdin) == NULL && errno == EINTR)
                clearerr(stdin);
        over = 1;
        long done = 0, wrong = 0;
        for (int i = 0; i < threads; i++) {
                pthread_join(all[i], NULL);
                done += calls[i];
                wrong += errors[i];
        }
        printf("calls %ld\ncode %s\nexecutable %s\nerrors %ld\n", done, code() == code_before ? "same" : "changed",
               executable() == executable_before ? "same" : "more", wrong);
        return wrong != 0;
}
