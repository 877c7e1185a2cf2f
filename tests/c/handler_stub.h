/* handler_stub.h: a library with a function for every way in which arguments and results travel. */
#ifndef HANDLER_STUB_H
#define HANDLER_STUB_H

struct two_longs {
        long first, second;
};
struct two_ints {
        int first, second;
};
struct two_doubles {
        double first, second;
};
struct four_longs {
        long words[4];
};

long nine(long a, long b, long c, long d, long e, long f, long g, long h, long i);
long mixed(int a, double x, const char *text, float y, unsigned char small, long z);
struct two_longs swap_longs(struct two_longs pair, long add);
struct two_ints swap_ints(struct two_ints pair);
struct four_longs reverse(struct four_longs four, int add);
double half(double x, int times);
float third(float x);
long double precise(long double x, int add);
void fill(int *place, int value);
_Bool is_odd(int value);
int with_message(int code, const char *text);

#endif
