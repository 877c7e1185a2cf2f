/* handler_stub_handlers.c: handlers of handler_stub.h's functions: seen_NAME prints, other_NAME changes. */
#include <stdio.h>
#include <wc_ptrace.h>

static double
as_double(unsigned long long bits)
{
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
}

static unsigned long long
as_bits(double value)
{
        unsigned long long bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
}

void
seen_nine(struct user_regs_struct *regs, int pid)
{
        printf("sees %lld %lld %lld %lld %lld %lld, then %ld %ld %ld\n", regs->rdi, regs->rsi, regs->rdx, regs->rcx, regs->r8,
               regs->r9, PeekLong(pid, (long)regs->rsp + 8), PeekLong(pid, (long)regs->rsp + 16),
               PeekLong(pid, (long)regs->rsp + 24));
}

void
other_nine(struct user_regs_struct *regs, int pid)
{
        regs->rdi = 9;
        regs->r9 = 4;
        PokeLong(pid, (long)regs->rsp + 24, 1);
}

void
seen_mixed(struct user_regs_struct *regs, int pid)
{
        char text[5];
        PeekData(pid, (long)regs->rsi, 5, text);
        printf("sees %lld \"%s\" %lld %lld\n", regs->rdi, text, regs->rdx, regs->rcx);
}

void
other_mixed(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->rsi = (unsigned long long)"longer than before";
        regs->rdx = 0x1ff; /* an unsigned char takes 0xff of it */
}

void
seen_swap_longs(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("sees %lld %lld %lld\n", regs->rdi, regs->rsi, regs->rdx);
}

void
other_swap_longs(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->rsi = 60;
}

void
after_swap_longs(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %lld %lld\n", regs->rax, regs->rdx);
        regs->rdx = 1;
}

void
after_swap_ints(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %d %d\n", (int)regs->rax, (int)(regs->rax >> 32));
        regs->rax = 0x200000001;
}

void
seen_reverse(struct user_regs_struct *regs, int pid)
{
        printf("sees %ld to %ld, and %lld\n", PeekLong(pid, (long)regs->rsp + 8), PeekLong(pid, (long)regs->rsp + 32),
               regs->rsi);
        PokeLong(pid, (long)regs->rsp + 8, 1000);
}

void
after_reverse(struct user_regs_struct *regs, int pid)
{
        printf("returns %ld at %d\n", PeekLong(pid, (long)regs->rax), regs->rax == regs->rdi);
        PokeLong(pid, (long)regs->rax, -1);
}

void
seen_half(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("sees %lld\n", regs->rdi);
        regs->rdi = 1;
}

void
after_half(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %g\n", as_double(regs->rax));
        regs->rax = as_bits(0.25);
}

void
after_third(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %g\n", as_double(regs->rax));
        regs->rax = as_bits(2.5);
}

void
after_precise(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %g\n", as_double(regs->rax)); /* not changed: nothing may be lost of its 64 bits */
}

void
seen_fill(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->rsi = 78;
}

void
after_fill(struct user_regs_struct *regs, int pid)
{
        PokeInt(pid, (long)regs->rdi, PeekInt(pid, (long)regs->rdi) + 1);
}

void
after_is_odd(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        printf("returns %lld\n", regs->rax);
        regs->rax = 0;
}

void
seen_with_message(struct user_regs_struct *regs, int pid)
{
        struct user_regs_struct mine;
        const int got = GetRegs(pid, &mine);
        printf("GetRegs %d\n", got);
        printf("sees %lld %d\n", mine.rdi, mine.rsi == regs->rsi);
        mine.rdi = 50;
        const int set = SetRegs(pid, &mine);
        printf("SetRegs %d, then %lld\n", set, regs->rdi);
}

void
skip(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->orig_rax = (unsigned long long)-1;
        regs->rax = as_bits(3.0);
}

void
skip_with_minus_7(struct user_regs_struct *regs, int pid)
{
        (void)pid;
        regs->orig_rax = (unsigned long long)-1;
        regs->rax = (unsigned long long)-7;
        regs->rdx = 8;
}
