/*
 * roles.h: what the calls of tests/data/roles/*.txt work with. Included by the program that test_roles.py makes of them.
 *
 * Before each call the program announces its number by getauxval(MARK + number), so that the call can be found in a
 * trace; after it the number, result, errno and the values asked for by WITH() go to file descriptor 3 as JSON lines.
 * The working directory is an empty one.
 */
#define _GNU_SOURCE
#include <aio.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <error.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <fts.h>
#include <getopt.h>
#include <glob.h>
#include <gnu/libc-version.h>
#include <grp.h>
#include <iconv.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <langinfo.h>
#include <libintl.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <malloc.h>
#include <math.h>
#include <monetary.h>
#include <mqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <nl_types.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <pwd.h>
#include <regex.h>
#include <resolv.h>
#include <sched.h>
#include <search.h>
#include <semaphore.h>
#include <shadow.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <termios.h>
#include <threads.h>
#include <time.h>
#include <ulimit.h>
#include <unistd.h>
#include <utime.h>
#include <wchar.h>
#include <wctype.h>
#include <wordexp.h>

#define MARK 1000000000ul
#define REPORT 3

extern char *__xpg_basename(char *path), *dirname(char *path);
extern int __open_2(const char *, int), __openat_2(int, const char *, int), __mq_open_2(const char *, int);
extern int __xstat(int, const char *, struct stat *), __lxstat(int, const char *, struct stat *);
extern int __fxstat(int, int, struct stat *), __fxstatat(int, int, const char *, struct stat *, int);
extern int __xmknod(int, const char *, mode_t, dev_t *);
extern ssize_t __readlink_chk(const char *, char *, size_t, size_t);
extern ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
extern char *__getcwd_chk(char *, size_t, size_t), *__realpath_chk(const char *, char *, size_t);
extern ssize_t __read_chk(int, void *, size_t, size_t), __pread_chk(int, void *, size_t, off_t, size_t);
extern int __ttyname_r_chk(int, char *, size_t, size_t), __poll_chk(struct pollfd *, nfds_t, int, size_t);
extern int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
extern size_t __fread_chk(void *, size_t, size_t, size_t, FILE *);
extern char *__fgets_chk(char *, size_t, int, FILE *), *__fgets_unlocked_chk(char *, size_t, int, FILE *);
extern char *__gets_chk(char *, size_t);
extern int __printf_chk(int, const char *, ...), __fprintf_chk(FILE *, int, const char *, ...);
extern int __dprintf_chk(int, int, const char *, ...), __sprintf_chk(char *, int, size_t, const char *, ...);
extern int __snprintf_chk(char *, size_t, int, size_t, const char *, ...), __asprintf_chk(char **, int, const char *, ...);
extern void __syslog_chk(int, int, const char *, ...), __vsyslog_chk(int, int, const char *, va_list);
extern int __vprintf_chk(int, const char *, va_list), __vfprintf_chk(FILE *, int, const char *, va_list);
extern int __vdprintf_chk(int, int, const char *, va_list), __vsprintf_chk(char *, int, size_t, const char *, va_list);
extern int __vsnprintf_chk(char *, size_t, int, size_t, const char *, va_list);
extern int __vasprintf_chk(char **, int, const char *, va_list);
extern char *__strcpy_chk(char *, const char *, size_t), *__stpcpy_chk(char *, const char *, size_t);
extern char *__strncpy_chk(char *, const char *, size_t, size_t), *__strcat_chk(char *, const char *, size_t);
extern char *__strncat_chk(char *, const char *, size_t, size_t);
extern void *__memcpy_chk(void *, const void *, size_t, size_t), *__mempcpy_chk(void *, const void *, size_t, size_t);
extern void *__memmove_chk(void *, const void *, size_t, size_t), *__memset_chk(void *, int, size_t, size_t);
extern void __explicit_bzero_chk(void *, size_t, size_t);
extern int __getgroups_chk(int, gid_t *, size_t), __gethostname_chk(char *, size_t, size_t);
extern size_t __confstr_chk(int, char *, size_t, size_t);
extern ssize_t __recv_chk(int, void *, size_t, size_t, int);
extern ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
extern int pivot_root(const char *new_root, const char *put_old);

static char buf[4096], buf2[16384];
static wchar_t wide[256];
static int fd, n, m, pair[2];
static unsigned u;
static long l;
static size_t size;
static socklen_t len;
static off64_t off;
static uint64_t value;
static void *p;
static char *text;
static struct stat st;
static struct statx stx;
static struct statfs sf;
static struct statvfs sv;
static struct timespec ts;
static struct timeval tv;
static struct itimerspec its;
static struct itimerval itv;
static struct tm tm;
static struct dirent **list, entry, *entries;
static glob_t globbed;
static wordexp_t words;
static regex_t regex;
static regmatch_t matches[4];
static struct pollfd pollfd;
static struct epoll_event events[8];
static fd_set fds;
static sigset_t set, old;
static struct aiocb aio;
static struct termios tio;
static struct rusage usage;
static struct sockaddr_in in;
static struct sockaddr_storage storage;
static struct msghdr message;
static struct mmsghdr messages[2];
static struct addrinfo *info, hints;
static struct passwd pw, *pwp;
static struct group gr, *grp;
static pthread_t thread;
static pthread_attr_t attr;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutexattr_t mutexattr;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_condattr_t condattr;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t sem;
static FILE *fp;

int main(void);
static int hello(void) { return open("hello.txt", O_RDONLY); }
static int scratch(void) { return open("scratch", O_RDWR | O_CREAT, 0600); }
static int null(void) { return open("/dev/null", O_RDWR); }
static int terminal(void) { return posix_openpt(O_RDWR | O_NOCTTY); }
static FILE *file(void) { return fopen("hello.txt", "r+"); }

/* Two pages of one's own. */
static void *pages(void) { return mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/* The text at the very end of readable memory, without its NUL. */
static char *
edge(const char *content)
{
        char *page = pages();
        munmap(page + 4096, 4096);
        return memcpy(page + 4096 - strlen(content), content, strlen(content));
}

/* Objects of System V that are gone with the process that made them. */
static int
segment(void)
{
        const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
        shmat(id, NULL, 0);
        shmctl(id, IPC_RMID, NULL);
        return id;
}

static int semaphores(void) { return semget(IPC_PRIVATE, 2, IPC_CREAT | 0600); }
static int queue(void) { return msgget(IPC_PRIVATE, IPC_CREAT | 0600); }
static mqd_t mqueue(void) { return mq_open("/wc-role-queue", O_RDWR | O_CREAT, 0600, NULL); }

/* A descriptor to read text from. */
static int
piped(const char *content)
{
        int ends[2];
        if (pipe(ends) != 0 || write(ends[1], content, strlen(content)) < 0)
                _exit(100);
        return ends[0];
}

/* The same, in fds. */
static int
watched(void)
{
        const int reader = piped("x");
        FD_ZERO(&fds);
        FD_SET(reader, &fds);
        return reader;
}

/* An epoll descriptor with one event waiting. */
static int
polled(void)
{
        const int epoll = epoll_create1(0);
        struct epoll_event event = {EPOLLIN, {.u64 = 77}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, piped("x"), &event);
        return epoll;
}

/* A UDP socket bound to a free port of the loopback address; in holds its address. */
static int
bound(void)
{
        const int udp = socket(AF_INET, SOCK_DGRAM, 0);
        in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        len = sizeof in;
        bind(udp, (struct sockaddr *)&in, sizeof in);
        getsockname(udp, (struct sockaddr *)&in, &len);
        return udp;
}

/* The same with a datagram in it. */
static int
received(const char *content)
{
        const int udp = bound();
        sendto(udp, content, strlen(content), 0, (struct sockaddr *)&in, sizeof in);
        return udp;
}

/* A listening socket of the file system with one client waiting. */
static int
listening(void)
{
        static int count;
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof un.sun_path, "socket%d", count++);
        const int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
        bind(server, (struct sockaddr *)&un, sizeof un);
        listen(server, 3);
        connect(client, (struct sockaddr *)&un, sizeof un);
        return server;
}

/* A child that ends with status 3. */
static pid_t
child(void)
{
        const pid_t pid = fork();
        if (pid == 0)
                _exit(3);
        return pid;
}

/* A child that waits to be killed. */
static pid_t
sleeper(void)
{
        const pid_t pid = fork();
        while (pid == 0)
                pause();
        return pid;
}

static void alarm_handler(int number) { (void)number; }

/* SIGALRM arrives again and again until the next call is over: one of them will find it waiting. */
static void
alarmed(void)
{
        signal(SIGALRM, alarm_handler);
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 50000}, {0, 50000}}, NULL);
}

static void calm(void) { setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL); }
static int walk(const char *path, const struct stat *s, int flag) { return path == NULL && s == NULL && flag; }
static int nwalk(const char *path, const struct stat *s, int flag, struct FTW *f) { return !f && walk(path, s, flag); }
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int compare3(const void *a, const void *b, void *c) { return c == NULL ? compare(a, b) : 0; }
static int phdr(struct dl_phdr_info *i, size_t s, void *d) { return i != NULL && s != 0 && d != NULL; }
static void *nothing(void *argument) { return argument; }
static int nothing_int(void *argument) { return argument != NULL; }
static void nothing_at_all(void) {}
static void on_signal(int number) { (void)number; }
static void visit(const void *node, VISIT order, int level) { (void)node, (void)order, (void)level; }

/* via_vprintf("%d", 7) calls vprintf with a va_list, and so on. */
#define VIA(function, words, last, ...) \
        static int via_##function(__VA_ARGS__, ...) \
        { \
                va_list ap; \
                va_start(ap, last); \
                const int result = RESULT(function) words; \
                va_end(ap); \
                return result; \
        }
#define RESULT(function) function
VIA(vprintf, (f, ap), f, const char *f)
VIA(__vprintf_chk, (g, f, ap), f, int g, const char *f)
VIA(vfprintf, (s, f, ap), f, FILE *s, const char *f)
VIA(__vfprintf_chk, (s, g, f, ap), f, FILE *s, int g, const char *f)
VIA(vdprintf, (d, f, ap), f, int d, const char *f)
VIA(__vdprintf_chk, (d, g, f, ap), f, int d, int g, const char *f)
VIA(vsprintf, (s, f, ap), f, char *s, const char *f)
VIA(__vsprintf_chk, (s, g, z, f, ap), f, char *s, int g, size_t z, const char *f)
VIA(vsnprintf, (s, z, f, ap), f, char *s, size_t z, const char *f)
VIA(__vsnprintf_chk, (s, z, g, y, f, ap), f, char *s, size_t z, int g, size_t y, const char *f)
VIA(vasprintf, (s, f, ap), f, char **s, const char *f)
VIA(__vasprintf_chk, (s, g, f, ap), f, char **s, int g, const char *f)
VIA(vscanf, (f, ap), f, const char *f)
VIA(vfscanf, (s, f, ap), f, FILE *s, const char *f)
VIA(vsscanf, (s, f, ap), f, const char *s, const char *f)
#undef RESULT
#define RESULT(function) 0; function
VIA(vwarn, (f, ap), f, const char *f)
VIA(vwarnx, (f, ap), f, const char *f)
VIA(verr, (e, f, ap), f, int e, const char *f)
VIA(vsyslog, (y, f, ap), f, int y, const char *f)
VIA(__vsyslog_chk, (y, g, f, ap), f, int y, int g, const char *f)

/* A thread that wakes whoever waits for cond until told that he is awake. */
static atomic_int awake;
static pthread_t waking;

static void *
wake(void *argument)
{
        while (!awake) {
                pthread_cond_broadcast(&cond);
                sched_yield();
        }
        return argument;
}

static void
waker(void)
{
        awake = 0;
        pthread_mutex_lock(&mutex);
        pthread_create(&waking, NULL, wake, NULL);
}

static void
woken(void)
{
        awake = 1;
        pthread_mutex_unlock(&mutex);
        pthread_join(waking, NULL);
}

static void
prepare(void)
{
        const int made = open("hello.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (write(made, "hello world\n", 12) != 12 || close(made) != 0)
                _exit(101);
        mkdir("sub", 0755);
        if (symlink("hello.txt", "link") != 0 || getcwd(buf, sizeof buf) == NULL)
                _exit(102);
        signal(SIGPIPE, SIG_IGN);
        setvbuf(stdout, NULL, _IOFBF, 65536);
}

/* JSON to REPORT, with write alone. */
static void
say(const char *words_)
{
        if (write(REPORT, words_, strlen(words_)) < 0)
                _exit(103);
}

static void
say_number(long long number)
{
        char digits[32];
        snprintf(digits, sizeof digits, "%lld", number);
        say(digits);
}

static void
say_text(const char *content)
{
        say("\"");
        for (; *content != '\0'; content++) {
                char one[8];
                const unsigned char c = (unsigned char)*content;
                snprintf(one, sizeof one, c < 32 || c > 126 || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
                say(one);
        }
        say("\"");
}

#define SAY(thing) _Generic((thing), char *: say_text, const char *: say_text, default: say_number)(thing)
