/* Functions of a program's own, with parameters of every kind: what debug information tells of them is shown. */
#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OWN __attribute__((noinline, noipa))

typedef unsigned long count_t;
enum color { RED, GREEN, BLUE = -1 };
struct point { int x, y; };
struct pair { double a, b; };
struct mixed { double a; long b; };
struct large { long words[3]; char name[8]; };
struct inner { struct point at; float weight; };

OWN int integers(signed char a, unsigned char b, short c, unsigned short d, int e, unsigned f, long g, count_t h)
{
        return a + b + c + d + e + (int)f + (int)g + (int)h;
}

OWN double floats(float a, double b, int c, long double d)
{
        return a + b + c + (double)d;
}

OWN struct point small(struct point p, struct pair q, struct inner r)
{
        return (struct point){p.x + (int)q.a, p.y + r.at.x};
}

OWN struct large big(struct large a, struct mixed b, int last)
{
        a.words[0] += b.b + last;
        return a;
}

OWN const char *texts(const char *a, char *b, const uint8_t *c, void *d, enum color e, bool f)
{
        return f && c != NULL && d != NULL && e == BLUE ? a : b;
}

static OWN double complex wave(double complex a, float complex b)
{
        return a + b;
}

OWN void nothing(void)
{
        __asm__ volatile("");
}

static OWN int add_static(int first, int second)
{
        return first + second;
}

int
main(void)
{
        const uint8_t byte = 1;
        char word[] = "second";
        integers(-1, 200, -300, 60000, -5, 4000000000u, -7, 8);
        floats(1.5f, 2.5, 3, 4.5L);
        small((struct point){1, 2}, (struct pair){0.5, 1.5}, (struct inner){{3, 4}, 0.25f});
        big((struct large){{1, 2, 3}, "name"}, (struct mixed){1.5, 4}, 5);
        texts("first", word, &byte, word, BLUE, true);
        wave(1 + 2 * I, 3 + 4 * I);
        nothing();
        return add_static(1, -1);
}
