/*
 * breaks_chosen.c: a function of the program that a resolver chooses.
 */
#include <stdio.h>

__attribute__((noinline)) static int
fast(int n)
{
        return n + 100;
}

static int (*resolve(void))(int)
{
        return fast;
}

int f_chosen(int n) __attribute__((ifunc("resolve")));

int
main(void)
{
        int sum = 0;
        for (int i = 0; i < 10; i++)
                sum += f_chosen(i);
        printf("expect f_chosen 10 10\n");
        return sum != 1045;
}
