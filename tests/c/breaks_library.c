/*
 * breaks_library.c: a library that breaks_loads.c loads later: a plain function, one chosen by a resolver, one called from inside.
 */
static int chosen_by;

__attribute__((noinline, noipa)) int
f_inner(int n)
{
        return n + 1;
}

int
f_outer(int n)
{
        return f_inner(n) * 2;
}

static int
fast(int n)
{
        return n + 100;
}

static int (*resolve(void))(int)
{
        chosen_by++;
        return fast;
}

int f_chosen(int n) __attribute__((ifunc("resolve")));

int
f_jumps(int n)
{
        return f_chosen(n);
}
