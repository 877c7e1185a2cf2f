/*
 * breaks_signals.c: signals that come while displaced instructions run: what handlers see, and what they may change.
 *
 * faults   a function whose first instruction faults: the handler sees the function's address, and mends the register
 * trap     the program's own int3, also as a function's first instruction, reaches its handler and nobody else's
 * timer    a timer of 10 kHz: no handler ever sees an ip outside of files' mappings
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

#define TRACED __attribute__((noinline, noipa))

static volatile sig_atomic_t seen, wrong, far;
static long mended = 42;

long f_faults(long *from);
long f_traps(long n);
__asm__(".text\n.globl f_faults\n.type f_faults,@function\nf_faults: mov (%rdi), %rax\nret\n"
        ".globl f_traps\n.type f_traps,@function\nf_traps: int3\nlea 1(%rdi), %rax\nret\n");

static void
on_fault(int number, siginfo_t *info, void *context)
{
        ucontext_t *at = context;
        (void)number, (void)info;
        seen++;
        wrong += at->uc_mcontext.gregs[REG_RIP] != (greg_t)f_faults;
        at->uc_mcontext.gregs[REG_RDI] = (greg_t)&mended;
}

static int
faults(void)
{
        const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, NULL);
        long sum = 0;
        for (int i = 0; i < 10; i++)
                sum += f_faults((long *)8);
        sum += f_faults(&mended);
        printf("expect f_faults 11 11\n");
        return wrong + (seen != 10) + (sum != 11 * 42);
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
        const ucontext_t *at = context;
        (void)number;
        seen++;
        wrong += info->si_code != SI_KERNEL || ((const unsigned char *)at->uc_mcontext.gregs[REG_RIP])[-1] != 0xcc;
}

static int
trap(void)
{
        const struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
        sigaction(SIGTRAP, &action, NULL);
        long sum = 0;
        for (int i = 0; i < 10; i++) {
                sum += f_traps(i);
                __asm__ volatile("int3");
        }
        raise(SIGTRAP);
        printf("expect f_traps 10 10\n");
        return (wrong != 1) + (seen != 21) + (sum != 55);
}

TRACED int
f_busy(int n)
{
        __asm__ volatile("");
        return n + 1;
}

static ElfW(Addr) low[64], high[64];
static int known;

static int
note(struct dl_phdr_info *info, size_t size, void *nothing)
{
        (void)size, (void)nothing;
        for (int i = 0; i < info->dlpi_phnum && known < 64; i++) {
                if (info->dlpi_phdr[i].p_type != PT_LOAD)
                        continue;
                low[known] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                high[known] = low[known] + info->dlpi_phdr[i].p_memsz;
                known++;
        }
        return 0;
}

static void
on_timer(int number, siginfo_t *info, void *context)
{
        const ElfW(Addr) ip = (ElfW(Addr))((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
        int inside = 0;
        (void)number, (void)info;
        seen++;
        for (int i = 0; i < known; i++)
                inside |= ip >= low[i] && ip < high[i];
        far += !inside;
}

static int
timer(void)
{
        const struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
        const struct itimerval every = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
        long sum = 0;
        dl_iterate_phdr(note, NULL);
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &every, NULL);
        for (int i = 0; i < 5000; i++)
                sum += f_busy(i);
        setitimer(ITIMER_REAL, &never, NULL);
        printf("expect f_busy 5000 5000\n");
        return (seen < 10) + (far != 0) + (sum != 5000L * 5001 / 2);
}

int
main(int count, char **arguments)
{
        const char *way = count > 1 ? arguments[1] : "";
        setvbuf(stdout, NULL, _IONBF, 0);
        return !strcmp(way, "faults") ? faults() : !strcmp(way, "trap") ? trap() : !strcmp(way, "timer") ? timer() : 2;
}
