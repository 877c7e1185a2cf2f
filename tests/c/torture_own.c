/*
 * torture_own.c: functions of the program's own, for tests of static, stripped and position-independent executables.
 * Prints what each returned. Built with -static, -static-pie, -no-pie, by musl's compiler, with and without symbols.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct point {
        int x, y;
};

__attribute__((noinline, noclone)) int
add(int first, int second)
{
        return first + second;
}

__attribute__((noinline, noclone)) static long
factorial(unsigned char n)
{
        return n < 2 ? 1 : n * factorial((unsigned char)(n - 1));
}

__attribute__((noinline, noclone)) const char *
greet(const char *name, struct point *place)
{
        place->x = add(place->x, 1);
        return strcmp(name, "world") ? "no" : "hello";
}

__attribute__((noinline, noclone)) static double
half(double value)
{
        return value / 2;
}

int
main(int argc, char **argv)
{
        struct point place = {argc, 7};
        printf("%d\n", add(argc, 41));
        printf("%ld\n", factorial(5));
        printf("%s\n", greet(argc > 1 ? argv[1] : "world", &place));
        printf("%.2f\n", half(2.5));
        fflush(stdout);
        return write(1, "done\n", 5) == 5 ? 0 : 1;
}
