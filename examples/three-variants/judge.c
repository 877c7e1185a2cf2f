/*
 * judge.c: handlers that make three copies of a program act as one, as long as two of them agree.
 *
 *     cc -shared -fPIC -I$(wc-gen --include-dir) judge.c -o judge.so
 *
 * back_enter of read and write, functions or system calls: waits until all copies have come to their next call and
 * compares: number, descriptor, size, and the bytes of a write. A copy that is alone in what it says is stopped before it
 * does it. What goes to or comes from the descriptors that the copies inherited (0, 1, 2) is done once: the leader makes the
 * call, the others get its result. back_exit of both: the leader's result.
 * The memory of a copy is only touched through the helpers of wc_ptrace.h, so that this also works in a tracer; there
 * each copy needs a tracer of its own, since a tracer runs one handler at a time.
 */
#define _GNU_SOURCE
#include "variants.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <wc_ptrace.h>

static struct variants *all;
static int self;

/* The number of a copy and the memory that it shares with the others: nothing, in a program that is no copy. */
__attribute__((constructor)) static void
find(void)
{
        const char *path = getenv("VARIANTS"), *number = getenv("VARIANT");
        const int fd = path != NULL && number != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0)
                return;
        void *memory = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (memory != MAP_FAILED)
                all = memory;
        self = atoi(number) % VARIANTS;
}

static void
lock(void)
{
        if (pthread_mutex_lock(&all->lock) == EOWNERDEAD)
                pthread_mutex_consistent(&all->lock);
}

/* Let the others go on for a moment. */
static void
wait_a_little(void)
{
        pthread_mutex_unlock(&all->lock);
        usleep(100);
        lock();
}

static bool
is_there(int number)
{
        return all->state[number] == RUNS || all->state[number] == WAITS;
}

static bool
all_have_said(void)
{
        for (int i = 0; i < VARIANTS; i++)
                if (all->state[i] == RUNS)
                        return false;
        return true;
}

static bool
is_same(int one, int other)
{
        const struct statement *a = &all->says[one], *b = &all->says[other];
        if (all->state[one] == STOPPED || all->state[one] != all->state[other])
                return false;
        return all->state[one] == ENDED || (a->writes == b->writes && a->fd == b->fd && a->size == b->size &&
                                            (!a->writes || memcmp(a->bytes, b->bytes, (size_t)a->size) == 0));
}

static void
print_statement(int number)
{
        const struct statement *it = &all->says[number];
        if (all->state[number] == ENDED)
                fprintf(stderr, "end");
        else if (it->writes)
                fprintf(stderr, "write \"%.*s\" to %d", (int)strcspn(it->bytes, "\n"), it->bytes, it->fd);
        else
                fprintf(stderr, "read from %d", it->fd);
}

static void
tell(int number, int right)
{
        fprintf(stderr, "variants: copy %d is about to ", number + 1);
        print_statement(number);
        if (right >= 0) {
                fprintf(stderr, ", the others to ");
                print_statement(right);
        }
        fprintf(stderr, ": stopped\n");
}

/* Who says what another one says, too; -1 when nobody does. */
static int
right_one(void)
{
        for (int i = 0; i < VARIANTS; i++)
                for (int j = i + 1; j < VARIANTS; j++)
                        if (is_same(i, j))
                                return i;
        return -1;
}

/* All have said what they are about to do: who is in the minority is stopped. The first of the others leads. */
static void
judge(void)
{
        const int right = right_one();
        bool agrees[VARIANTS];
        for (int i = 0; i < VARIANTS; i++) {
                agrees[i] = right >= 0 && is_same(right, i);
                if (is_there(i) && !agrees[i])
                        tell(i, right);
        }
        for (int i = 0; i < VARIANTS; i++)
                if (is_there(i))
                        all->state[i] = agrees[i] ? RUNS : STOPPED;
        all->leader = right;
        all->answered = false;
        all->round++;
}

/* Returns false when the copy must not go on. */
static bool
agree(int pid, bool writes, struct user_regs_struct *regs)
{
        struct statement *mine = &all->says[self];
        if (regs->rdx > VARIANTS_MOST)
                regs->rdx = VARIANTS_MOST;
        mine->writes = writes;
        mine->fd = (int)regs->rdi;
        mine->size = (int)regs->rdx;
        memset(mine->bytes, 0, sizeof mine->bytes);
        if (writes)
                PeekData(pid, (long)regs->rsi, mine->size, mine->bytes);
        const long round = all->round;
        all->state[self] = WAITS;
        while (all->round == round)
                if (all_have_said())
                        judge();
                else
                        wait_a_little();
        return all->state[self] != STOPPED;
}

/* Leave the call out, and take what the leader got. If the leader has ended, the next one makes the call. */
static void
follow(int pid, bool writes, struct user_regs_struct *regs)
{
        while (!all->answered) {
                while (!is_there(all->leader))
                        all->leader++;
                if (all->leader == self)
                        return;
                wait_a_little();
        }
        if (!writes && all->result > 0)
                wc_poke_data(pid, (long)regs->rsi, all->bytes, (size_t)all->result);
        regs->orig_rax = (unsigned long)-1;
        regs->rax = (unsigned long)all->result;
        errno = all->error;
}

static void
before(struct user_regs_struct *regs, int pid, bool writes)
{
        const int fd = (int)regs->rdi;
        if (all == NULL || (!writes && fd > 2))
                return;
        lock();
        const bool goes_on = agree(pid, writes, regs);
        if (goes_on && fd <= 2)
                follow(pid, writes, regs);
        const int error = errno;
        pthread_mutex_unlock(&all->lock);
        errno = error;
        if (!goes_on)
                kill(pid, SIGKILL);
}

static void
after(struct user_regs_struct *regs, int pid, bool writes)
{
        const int error = errno;
        if (all == NULL || (int)regs->rdi > 2 || (long)regs->orig_rax == -1)
                return;
        lock();
        all->result = (long)regs->rax;
        all->error = error;
        if (!writes && all->result > 0)
                PeekData(pid, (long)regs->rsi, (int)all->result, all->bytes);
        all->answered = true;
        pthread_mutex_unlock(&all->lock);
}

void
before_write(struct user_regs_struct *regs, int pid)
{
        before(regs, pid, true);
}

void
after_write(struct user_regs_struct *regs, int pid)
{
        after(regs, pid, true);
}

void
before_read(struct user_regs_struct *regs, int pid)
{
        before(regs, pid, false);
}

void
after_read(struct user_regs_struct *regs, int pid)
{
        after(regs, pid, false);
}
