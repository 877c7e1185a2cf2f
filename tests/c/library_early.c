/*
 * library_early.c: a library that calls wrapped functions in its constructor and destructor (linked as a shared one).
 */
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void
begin(void)
{
        (void)getpgid(101);
}

__attribute__((destructor)) static void
end(void)
{
        (void)getpgid(102);
}
