/* denied_calls.c: makes every system call there may be, none of which happens: a filter answers for the kernel.
 *
 * For test_syscalls.py: a tracer sees each of them begin, whatever becomes of it, so that nothing is harmed by reboot(2).
 * uprobe and uretprobe (335, 336) are let through by the kernel before any filter, and kill.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(void)
{
        struct sock_filter steps[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTNAM),
        };
        struct sock_fprog program = { sizeof(steps) / sizeof(*steps), steps };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
                return 77;
        for (int number = 0; number < 512; number++) {
                if (number != SYS_exit_group && number != 335 && number != 336)
                        syscall(number, 0L, 0L, 0L, 0L, 0L, 0L);
        }
        _exit(0);
}
