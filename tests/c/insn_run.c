/*
 * insn_run.c: instructions on standard input (one a line, in hex), each run by the processor where it was written, run by
 * it from a slot, and done by wct_insn_emulate: all three must leave the same registers and memory.
 *
 * Code, slot and data lie at fixed addresses of a traced child; code is full of int3, so that whatever an instruction goes
 * to stops there. A child that a case has harmed is replaced.
 * Prints "N run, M emulated, K wrong"; lines of wrong ones before it. 77 when ptrace is not permitted.
 * lint-flags: -Iruntime/tracer */
#define _GNU_SOURCE
#include "wct_insn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE 0x41000000ul
#define SLOT 0x51000000ul
#define DATA 0x61000000ul
#define PAGES 0x4000ul
#define AT (CODE + 0x2000)
#define STATES 6

static pid_t child;
static uint8_t data_before[PAGES];

struct outcome {
        struct user_regs_struct regs;
        struct user_fpregs_struct vectors;
        uint8_t data[PAGES];
        int signal;
};

static void *
map(unsigned long at, int protection)
{
        void *got = mmap((void *)at, PAGES, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (got == MAP_FAILED)
                _exit(3);
        return got;
}

static void
start(void)
{
        int status;
        child = fork();
        if (child == 0) {
                memset(map(CODE, PROT_READ | PROT_WRITE | PROT_EXEC), 0xcc, PAGES);
                memset(map(SLOT, PROT_READ | PROT_WRITE | PROT_EXEC), 0xcc, PAGES);
                map(DATA, PROT_READ | PROT_WRITE);
                if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
                        _exit(77);
                alarm(600);
                raise(SIGSTOP);
                _exit(0);
        }
        waitpid(child, &status, 0);
        if (!WIFSTOPPED(status))
                exit(WEXITSTATUS(status));
}

static void
put(unsigned long at, const void *bytes, size_t size)
{
        struct iovec local = {(void *)bytes, size}, remote = {(void *)at, size};
        if (process_vm_writev(child, &local, 1, &remote, 1, 0) != (ssize_t)size)
                exit(4);
}

static void
get(unsigned long at, void *bytes, size_t size)
{
        struct iovec local = {bytes, size}, remote = {(void *)at, size};
        if (process_vm_readv(child, &local, 1, &remote, 1, 0) != (ssize_t)size)
                exit(5);
}

/* Returns false when the child has ended. */
static bool
run(struct outcome *outcome, struct user_regs_struct regs, const struct user_fpregs_struct *vectors, unsigned long ip)
{
        int status;
        regs.rip = ip;
        put(DATA, data_before, sizeof data_before);
        if (ptrace(PTRACE_SETREGS, child, 0, &regs) != 0 || ptrace(PTRACE_SETFPREGS, child, 0, vectors) != 0 ||
            ptrace(PTRACE_CONT, child, 0, 0) != 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
                start();
                return false;
        }
        ptrace(PTRACE_GETREGS, child, 0, &outcome->regs);
        ptrace(PTRACE_GETFPREGS, child, 0, &outcome->vectors);
        outcome->signal = WSTOPSIG(status);
        get(DATA, outcome->data, sizeof outcome->data);
        return true;
}

static uint64_t seed = 88172645463325252ull;

static uint64_t
random_word(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        return seed ^= seed << 17;
}

static uint64_t
random_register(void)
{
        switch (random_word() % 4) {
        case 0: return random_word();
        case 1: return random_word() % 3;
        default: return DATA + 0x800 + random_word() % (PAGES / 2) / 16 * 16;
        }
}

static void
random_state(struct user_regs_struct *regs)
{
        unsigned long long *const all[] = {&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rbp, &regs->rsi, &regs->rdi,
                                           &regs->r8,  &regs->r9,  &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14,
                                           &regs->r15};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
                *all[i] = random_register();
        if (random_word() % 2)
                regs->rcx %= 64; /* counts of string instructions */
        regs->rsp = DATA + PAGES / 2;
        regs->eflags = (regs->eflags & ~0xcd5ull) | (random_word() & 0x8d5);
        regs->orig_rax = (unsigned long long)-1;
}

/* Displacements and goals that lie where memory is. */
static void
bring_near(const struct wct_insn *insn, uint8_t *code)
{
        int32_t to;
        if (insn->rip) {
                to = (int32_t)(DATA + 0x900 + random_word() % 0x1000 - (AT + insn->length));
                memcpy(code + insn->disp_at, &to, 4);
        }
        if (insn->flow != WCT_FLOW_NEXT && insn->imm_size == 4 && insn->map <= WCT_MAP_0F &&
            (insn->flow == WCT_FLOW_JUMP || insn->flow == WCT_FLOW_BRANCH || insn->flow == WCT_FLOW_CALL)) {
                to = (int32_t)(random_word() % 0x1000) - 0x800;
                memcpy(code + insn->imm_at, &to, 4);
        }
}

/* Into itself: perhaps for ever. */
static bool
circles(const struct wct_insn *insn, const uint8_t *code)
{
        const bool relative = insn->flow == WCT_FLOW_JUMP || insn->flow == WCT_FLOW_BRANCH || insn->flow == WCT_FLOW_COUNT ||
                              insn->flow == WCT_FLOW_CALL;
        return relative && wct_insn_goal(insn, code, AT) - AT < insn->length;
}

/* What an instruction leaves undefined, or counts: AF after logic, flags after shifts of nothing. */
static bool
same_registers(const struct user_regs_struct *a, const struct user_regs_struct *b, uint64_t flags)
{
        struct user_regs_struct x = *a, y = *b;
        x.eflags &= flags, y.eflags &= flags;
        x.orig_rax = y.orig_rax = 0;
        return memcmp(&x, &y, sizeof x) == 0;
}

static bool
same(const struct outcome *here, const struct outcome *there)
{
        struct outcome moved = *there;
        if (moved.signal != SIGTRAP && moved.regs.rip == SLOT)
                moved.regs.rip = AT; /* a fault: wct_break_leave brings it back */
        const bool vectors = memcmp(&here->vectors.xmm_space, &moved.vectors.xmm_space, sizeof here->vectors.xmm_space) == 0 &&
                             memcmp(&here->vectors.st_space, &moved.vectors.st_space, sizeof here->vectors.st_space) == 0;
        return here->signal == moved.signal && vectors && same_registers(&here->regs, &moved.regs, 0xcd5) &&
               memcmp(here->data, moved.data, sizeof here->data) == 0;
}

static void
complain(const char *what, const uint8_t *code, const struct wct_insn *insn, const struct outcome *a,
         const struct user_regs_struct *b)
{
        printf("%s:", what);
        for (int i = 0; i < insn->length; i++)
                printf(" %02x", code[i]);
        printf("  signal %d, ip %llx not %llx, flags %llx not %llx, rax %llx not %llx, rsp %llx not %llx\n", a->signal, b->rip,
               a->regs.rip, b->eflags, a->regs.eflags, b->rax, a->regs.rax, b->rsp, a->regs.rsp);
}

/* A fault in a call's second half has pushed already. */
static void
undo_push(struct outcome *there, const struct wct_moved *moved)
{
        if (there->signal == SIGTRAP || moved->pushed == 0 || there->regs.rip != SLOT + moved->pushed)
                return;
        there->regs.rip = SLOT;
        there->regs.rsp += 8;
        memcpy(there->data + (there->regs.rsp - 8 - DATA), data_before + (there->regs.rsp - 8 - DATA), 8);
}

int
main(void)
{
        static struct outcome here, there;
        char line[128];
        static uint8_t int3s[PAGES];
        unsigned long ran = 0, emulated = 0, wrong = 0;
        struct user_regs_struct regs;
        struct user_fpregs_struct vectors;
        memset(int3s, 0xcc, sizeof int3s);
        start();
        ptrace(PTRACE_GETREGS, child, 0, &regs);
        ptrace(PTRACE_GETFPREGS, child, 0, &vectors);
        for (size_t i = 0; i < sizeof data_before; i++)
                data_before[i] = (uint8_t)random_word();
        while (fgets(line, sizeof line, stdin) != NULL) {
                uint8_t code[WCT_INSN_MOST + 1] = {0}, page[64];
                struct wct_insn insn;
                struct wct_moved moved;
                size_t size = 0;
                for (char *at = line; size < WCT_INSN_MOST && sscanf(at, "%2hhx", &code[size]) == 1; at += 2)
                        size++;
                if (!wct_insn_decode(&insn, code, size) || insn.length != size) {
                        printf("not decoded: %s", line);
                        wrong++;
                        continue;
                }
                bring_near(&insn, code);
                if (circles(&insn, code) || !wct_insn_move(&moved, &insn, code, AT, SLOT))
                        continue;
                memset(page, 0xcc, sizeof page);
                put(SLOT, page, sizeof page);
                put(SLOT, moved.bytes, moved.size);
                put(AT, page, sizeof page);
                put(AT, code, insn.length);
                for (int state = 0; state < STATES; state++) {
                        struct user_regs_struct before = regs;
                        for (size_t i = 0; i < 16 * 4; i++)
                                vectors.xmm_space[i] = (unsigned)random_word();
                        random_state(&before);
                        if (!run(&here, before, &vectors, AT))
                                break;
                        if (!run(&there, before, &vectors, SLOT))
                                break;
                        undo_push(&there, &moved);
                        ran++;
                        if (!same(&here, &there)) {
                                complain("moved", code, &insn, &here, &there.regs);
                                wrong++;
                        }
                        struct user_regs_struct by_us = before;
                        if (here.signal != SIGTRAP || !wct_insn_emulate(&insn, code, AT, &by_us))
                                continue;
                        emulated++;
                        by_us.rip += 1; /* the int3 there */
                        if (!same_registers(&here.regs, &by_us, 0xcd5 & ~0x10)) {
                                complain("emulated", code, &insn, &here, &by_us);
                                wrong++;
                        }
                }
                put(CODE, int3s, PAGES);
        }
        kill(child, SIGKILL);
        printf("%lu run, %lu emulated, %lu wrong\n", ran, emulated, wrong);
        return wrong != 0;
}
