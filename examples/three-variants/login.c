/*
 * login.c: asks for a name and tells who may know a secret. It believes that a name has at most 16 characters: who sends a
 * longer one overwrites what lies behind it. What that is depends on LAYOUT, by which the copies differ.
 *
 *     cc -DLAYOUT=1 login.c -o login-1
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
#if LAYOUT == 1
        char name[16], is_admin[16], spare[64];
#elif LAYOUT == 2
        char is_admin[16], name[16], spare[64];
#else
        char name[16], spare[64], is_admin[16];
#endif
} user;

static void
say(const char *text)
{
        if (write(1, text, strlen(text)) < 0)
                _exit(1);
}

int
main(void)
{
        char line[64], text[64];
        say("name? ");
        const long length = read(0, line, sizeof line - 1);
        if (length < 1)
                return 1;
        char *volatile place = user.name;
        memcpy(place, line, (size_t)length - 1);
        snprintf(text, sizeof text, "hello %.16s\n", user.name);
        say(text);
        say(user.is_admin[0] != '\0' ? "the secret is 42\n" : "the secret is not for you\n");
        return 0;
}
