/*
 * breaks_shapes.c: calls every function of breaks_shapes.S and prints what comes back: the same with and without breakpoints.
 */
#include <stdio.h>
#include <sys/syscall.h>

#define SHAPES(x)                                                                                                          \
        x(push) x(endbr) x(lea) x(load) x(store) x(call) x(call_memory) x(jump_memory) x(jump) x(jump_short) x(test)       \
                x(compare) x(vector) x(atomic) x(enter) x(stack_argument) x(return_more)
#define DECLARE(name) long shape_##name(long a, long b);
SHAPES(DECLARE)
long shape_return(long a, long b), shape_kernel(long a, long b);
long shape_branch(long a, long b, long c, long counter), shape_loop(long a, long b, long c, long counter);
long shape_flags(long a, long b), shape_string(char *to, long b, long c, long count);

#define CALL(name) printf(#name " %ld\n", shape_##name(round, 3));

int
main(void)
{
        for (long round = 0; round < 3; round++) {
                char bytes[8] = "";
                long number;
                SHAPES(CALL)
                shape_return(round, 3);
                printf("branch %ld %ld\n", shape_branch(round, 0, 0, 0), shape_branch(round, 0, 0, 1));
                printf("loop %ld %ld\n", shape_loop(round, 0, 0, 1), shape_loop(round, 0, 0, 2));
                printf("string %ld\n", shape_string(bytes, 0, 0, 5) - (long)bytes);
                __asm__ volatile("stc; call shape_flags" : "=a"(number) : : "memory", "cc");
                printf("flags %ld\n", number);
                __asm__ volatile("call shape_kernel" : "=a"(number) : "a"(SYS_getppid) : "rcx", "r11", "memory");
                printf("kernel %d\n", number > 0);
        }
        return 0;
}
