/* handler_stub.c: see handler_stub.h. */
#include "handler_stub.h"

#include <string.h>

long
nine(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
        return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g + 10000000 * h + 100000000 * i;
}

long
mixed(int a, double x, const char *text, float y, unsigned char small, long z)
{
        return a + (long)x + (long)strlen(text) + (long)y + small + z;
}

struct two_longs
swap_longs(struct two_longs pair, long add)
{
        return (struct two_longs){pair.second + add, pair.first + add};
}

struct two_ints
swap_ints(struct two_ints pair)
{
        return (struct two_ints){pair.second, pair.first};
}

struct four_longs
reverse(struct four_longs four, int add)
{
        struct four_longs back;
        for (int i = 0; i < 4; i++)
                back.words[i] = four.words[3 - i] + add;
        return back;
}

double
half(double x, int times)
{
        while (times-- > 0)
                x /= 2;
        return x;
}

float
third(float x)
{
        return x / 3;
}

long double
precise(long double x, int add)
{
        return x + add;
}

void
fill(int *place, int value)
{
        *place = value;
}

_Bool
is_odd(int value)
{
        return value % 2 != 0;
}

int
with_message(int code, const char *text)
{
        return code + (int)strlen(text);
}
