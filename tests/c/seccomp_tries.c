/* Makes system calls by number and says which found a filter's RET_TRACE without a tracer: ENOSYS. Used by test_seccomp.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const long numbers[] = {SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid};

int
main(void)
{
        for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                if (syscall(numbers[i]) == -1 && errno == ENOSYS)
                        printf("stopped %ld\n", numbers[i]);
        }
        long parent = 64; /* getppid of i386 */
        __asm__ volatile("int $0x80" : "+a"(parent) : : "memory", "r8", "r9", "r10", "r11");
        printf("int 0x80: %s\n", parent > 0 ? "as it was" : "stopped");
        printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        return 0;
}
