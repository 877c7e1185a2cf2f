"""Prototypes, layouts and constants as the compiler itself sees them: headers.py against cc."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wc_intercept.generator.errors import UserError
from wc_intercept.generator.headers import Headers
from wc_intercept.generator.model import CType, Function

RECORDS = """
struct stat;struct timespec;struct timeval;struct itimerval;struct itimerspec;struct tm;struct rusage;struct rlimit
struct sockaddr;struct sockaddr_in;struct sockaddr_in6;struct sockaddr_un;struct sockaddr_storage;struct msghdr
struct iovec;struct cmsghdr;struct addrinfo;struct hostent;struct servent;struct protoent;struct netent;struct linger
struct dirent;struct dirent64;struct stat64;struct statfs;struct statvfs;struct utsname;struct sysinfo;struct tms
struct termios;struct winsize;struct pollfd;struct epoll_event;struct sigaction;siginfo_t;sigset_t;stack_t;sigevent_t
struct passwd;struct group;struct spwd;struct flock;struct utimbuf;struct timex;struct timezone;struct lconv
struct inotify_event;struct signalfd_siginfo;struct sembuf;struct semid_ds;struct shmid_ds;struct msqid_ds
struct mq_attr;struct sched_param;struct option;struct obstack;struct ifaddrs;struct if_nameindex;struct ucred
struct mallinfo;struct mallinfo2;struct utmpx;struct mntent;struct iphdr;struct tcphdr;struct udphdr;struct ip
struct statx;struct dl_phdr_info;struct FTW;struct aiocb;struct user_regs_struct;struct rseq;struct ntptimeval
struct __ptrace_syscall_info;pthread_attr_t;pthread_mutex_t;pthread_cond_t;fd_set;div_t
ldiv_t;lldiv_t;fpos_t;mbstate_t;glob_t;regex_t;regmatch_t;wordexp_t;max_align_t;cpu_set_t;ucontext_t;fenv_t
posix_spawn_file_actions_t;posix_spawnattr_t;sem_t;struct __jmp_buf_tag;union sigval;epoll_data_t;FILE;Dl_info
struct timeb;struct ttyent;struct argp_option;ENTRY;struct hsearch_data;struct drand48_data;struct random_data
"""
NAMES = [name for line in RECORDS.split("\n") for name in line.split(";") if name]


@pytest.fixture(scope="module")
def headers() -> Headers:
    return Headers.read()


def text_of(function: Function | None) -> str:
    assert function is not None
    inner = ", ".join(p.type.declare(p.name) for p in function.params) + (", ..." if function.variadic else "")
    return function.result.declare(f"{function.name}({inner or 'void'})")


def compiled(source: str, directory: Path, *options: str) -> str:
    """Compile and run a program; return what it prints."""
    path = directory / "probe"
    command = ["cc", "-D_GNU_SOURCE", "-x", "c", "-", "-o", str(path), *options]
    subprocess.run(command, input=source, text=True, check=True)
    return subprocess.run([path], capture_output=True, text=True, check=True).stdout


def includes(headers: Headers) -> str:
    return "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in headers.requested)


def record_lines(name: str, found: CType) -> list[str]:
    assert found.record is not None, name
    lines = [f"{name} {found.size} {found.align}"]
    for member in found.record.members:
        count = 1 if member.array_length is None else member.array_length
        lines.append(f"{name}.{member.name} {member.offset} {member.type.size * count}")
    return lines


def record_probes(name: str, found: CType) -> list[str]:
    probes = [f'printf("%s %zu %zu\\n", "{name}", sizeof({name}), _Alignof({name}));']
    for member in found.record.members if found.record else ():
        place = f"__builtin_offsetof({name}, {member.name})"
        size = "0" if member.array_length == 0 else f"sizeof((({name} *)0)->{member.name})"
        probes.append(f'printf("%s %zu %zu\\n", "{name}.{member.name}", {place}, (size_t){size});')
    return probes


def test_layouts_are_the_compilers(headers: Headers, tmp_path: Path) -> None:
    expected, probes = [], []
    for name in NAMES:
        found = headers.type(name)
        expected += record_lines(name, found)
        probes += record_probes(name, found)
    members = {line.split(".", 1)[1].split()[0] for line in expected if "." in line}
    hidden = "".join(f"#undef {member}\n" for member in sorted(members))
    source = includes(headers) + hidden + "int main(void){" + "\n".join(probes) + "}"
    assert expected == compiled(source, tmp_path).splitlines()


def test_members_that_only_fill_space_are_left_out(headers: Headers) -> None:
    found = headers.type("struct stat")
    assert found.record is not None
    assert [] == [m.name for m in found.record.members if m.name.startswith("__")]


def test_every_prototype_stands_beside_its_header(headers: Headers, tmp_path: Path) -> None:
    """A conflicting-types error of the compiler would be an error in our reading."""
    functions = headers.functions(headers.declared)
    assert len(functions) > 3400
    lines = [f"#undef {f.name}\n{text_of(f)};" for f in functions.values()]
    source = tmp_path / "prototypes.c"
    source.write_text(includes(headers) + "\n".join(lines) + "\n")
    done = subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-fsyntax-only", "-fno-builtin", "-Wno-all", str(source)],
        capture_output=True,
        text=True,
    )
    assert "" == "".join(line for line in done.stderr.splitlines(True) if "error" in line)


def test_what_cannot_be_used_has_a_sentence(headers: Headers) -> None:
    reasons = {n: headers.why_not(n) for n in headers.declared if headers.function(n) is None}
    assert len(reasons) < 10
    assert all(reason and reason.startswith("its declaration ") for reason in reasons.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("open", "int open(const char *file, int oflag, ...)"),
        ("signal", "__sighandler_t signal(int sig, __sighandler_t handler)"),
        ("bind", "int bind(int fd, const struct sockaddr *addr, socklen_t len)"),
        ("accept", "int accept(int fd, struct sockaddr *addr, socklen_t *addr_len)"),
        ("pipe", "int pipe(int *pipedes)"),
        ("fork", "__pid_t fork(void)"),
        ("longjmp", "void longjmp(struct __jmp_buf_tag *env, int val)"),
        ("cpow", "double _Complex cpow(double _Complex x, double _Complex y)"),
        ("cpowf128", "_Complex _Float128 cpowf128(_Complex _Float128 x, _Complex _Float128 y)"),
        ("strtol", "long int strtol(const char *nptr, char **endptr, int base)"),
        ("getline", "__ssize_t getline(char **lineptr, size_t *n, FILE *stream)"),
        (
            "regexec",
            "int regexec(const regex_t *preg, const char *String, size_t nmatch, regmatch_t *pmatch, int eflags)",
        ),
        ("on_exit", "int on_exit(void (*func)(int, void *), void *arg)"),
        ("vprintf", "int vprintf(const char *format, __gnuc_va_list arg)"),
    ],
)
def test_prototypes_keep_their_spelling(headers: Headers, name: str, expected: str) -> None:
    assert expected == text_of(headers.function(name))


def test_origins_are_headers_as_one_includes_them(headers: Headers) -> None:
    origins = [getattr(headers.function(n), "origin", "").split(":")[0] for n in ("read", "stat", "bind")]
    assert ["unistd.h", "sys/stat.h", "sys/socket.h"] == origins
    assert {"math.h"} == headers.owners(["sin"])


def test_facts_come_from_the_unstripped_text(headers: Headers) -> None:
    facts = {n: getattr(headers.function(n), "attributes", frozenset()) for n in ("exit", "vfork", "strlen", "syslog")}
    assert "noreturn" in facts["exit"]
    assert {"pure", "nonnull(1)", "nothrow"} <= facts["strlen"]
    assert "format(printf,2,3)" in facts["syslog"]


def test_assembler_names_are_facts() -> None:
    source = 'extern int scan(const char *f, ...) __asm__ ("" "__isoc99_scan") __attribute__((__nothrow__));'
    function = Headers.of_text(source).function("scan")
    assert function is not None
    assert ("__isoc99_scan", frozenset({"nothrow"})) == (function.redirect, function.attributes)


def test_a_parameter_never_has_a_macros_or_keywords_name() -> None:
    source = """
    #include <errno.h>
    #include <stdio.h>
    int f(int __errno, FILE *stdin_, int __restrict_, int __int, int ret, int __x, int x, int, char *__stdout);
    """
    function = Headers.of_text(source).function("f")
    assert function is not None
    expected = ["errno_", "stdin_", "restrict_", "int_", "ret_", "x", "x_", "arg8", "stdout_"]
    assert expected == [p.name for p in function.params]


SHAPES = """
typedef unsigned long size_like; struct pair { int a, b; };
typedef int (*call_t)(int); typedef int fn_t(void *); typedef int three[3];
extern void (*handler(int sig, void (*func)(int)))(int);
int unknown(); int unknown2(void);
int again(); int again(int named);
static inline int body(int a) { return a ? '}' : "};"[0]; }
extern __inline __attribute__((__gnu_inline__)) int gnu(const char *s) { if (*s) { return 1; } return 0; }
struct pair by_value(struct pair p, call_t c, fn_t f, three t, int grid[2][4], int list[], int n, int vla[n]);
int callbacks(int (*compare[2])(const void *, const void *), void (**out)(void));
__extension__ typedef struct { unsigned x : 3; } bits; int takes(bits *b); int undefined(struct nobody *n);
int one(int a); int two(int b); _Noreturn void dead(void); unsigned long long wide(__int128 v, _Bool b);
typedef int (enclosed_t)(int); typedef int takes_t(int (*cb)(int)); enclosed_t *get(takes_t t);
extern size_like (odd) (void);
extern size_like *(hidden) (const int x); extern void (unsaid) (int (sort)(int), fn_t *f);
__attribute__((__visibility__("default"))) int leading(char c) ; _Static_assert(sizeof(int) == 4, "four; {");
"""


@pytest.mark.parametrize(
    "expected",
    [
        "void (*handler(int sig, void (*func)(int)))(int)",
        "int unknown2(void)",
        "int again(int named)",
        "int body(int a)",
        "int gnu(const char *s)",
        "struct pair by_value(struct pair p, call_t c, fn_t *f, int *t, int (*grid)[4], int *list, int n, int *vla)",
        "int callbacks(int (**compare)(const void *, const void *), void (**out)(void))",
        "int takes(bits *b)",
        "int undefined(struct nobody *n)",
        "int two(int b)",
        "void dead(void)",
        "unsigned long long wide(__int128 v, _Bool b)",
        "int leading(char c)",
        "enclosed_t *get(takes_t *t)",
        "size_like odd(void)",
        "size_like *hidden(const int x)",
        "void unsaid(int (*sort)(int), fn_t *f)",
    ],
)
def test_any_shape_of_prototype_is_understood(expected: str) -> None:
    name = next(n for n in Headers.of_text(SHAPES).declared if f" {n}(" in expected or f"*{n}(" in expected)
    assert expected == text_of(Headers.of_text(SHAPES).function(name))


RECURSIVE = """
struct node; typedef struct node node_t; typedef int visit_t(node_t *n); typedef node_t *pair_t[2];
struct node { node_t *next; struct node *(*find)(node_t *n, int (*cb)(struct node *)); visit_t *visit; pair_t both;
              union { node_t *u; long v; } w; struct { struct node *inner; } s; node_t *many[3][2]; };
node_t *walk(struct node *n, visit_t *v); node_t by_value(node_t n);
"""


def test_a_record_may_point_to_itself_in_any_way() -> None:
    headers = Headers.of_text(RECURSIVE)
    found = headers.function("walk")
    assert found is not None and found.params[0].type.pointee is not None
    record = found.params[0].type.pointee.record
    assert record is not None
    names = ["next", "find", "visit", "both", "w", "s", "many"]
    assert (names, 104) == ([m.name for m in record.members], record.size)
    assert "node_t by_value(node_t n)" == text_of(headers.function("by_value"))


def test_empty_parentheses_are_a_reason() -> None:
    headers = Headers.of_text(SHAPES)
    assert (None, True) == (headers.function("unknown"), "empty parentheses" in str(headers.why_not("unknown")))


def test_types_have_sizes_signs_and_pointees(headers: Headers) -> None:
    read, send = headers.function("read"), headers.function("sendmsg")
    assert read is not None and send is not None
    assert ("int", 8, True) == (read.result.kind, read.result.size, read.result.signed)
    assert [("int", 4), ("pointer", 8), ("int", 8)] == [(p.type.kind, p.type.size) for p in read.params]
    message = send.params[1].type.pointee
    assert message is not None and message.record is not None
    assert (True, "struct msghdr", 56) == (message.const, message.name, message.record.size)
    compare = headers.function("qsort")
    assert compare is not None and compare.params[3].type.pointee is None


def test_arrays_among_parameters_keep_their_length(headers: Headers) -> None:
    times = headers.function("futimes")
    assert times is not None
    assert ("const struct timeval *tvp", 2) == (times.params[1].type.declare("tvp"), times.params[1].type.array_length)


CONSTANTS = """
O_CREAT O_TMPFILE SIGINT EOF TIOCGWINSZ PROT_READ MAP_ANONYMOUS CLOCK_REALTIME INT_MIN UINT_MAX SEEK_END AF_INET
SOCK_CLOEXEC PTRACE_PEEKTEXT _SC_PAGESIZE IPPROTO_TCP S_IFMT UTIME_NOW CHAR_MAX SO_REUSEADDR RLIMIT_NOFILE LC_ALL
MADV_DONTNEED EPOLLET LOG_PERROR PTHREAD_CREATE_DETACHED P_ALL WNOHANG FIONREAD EPOLL_CTL_ADD
"""


def test_constants_are_the_compilers(headers: Headers, tmp_path: Path) -> None:
    names = CONSTANTS.split()
    prints = "".join(f'printf("%lld\\n", (long long)({n}));' for n in names)
    values = compiled(includes(headers) + "int main(void){" + prints + "}", tmp_path).split()
    assert dict(zip(names, map(int, values), strict=True)) == {n: headers.constant(n) for n in names}


def test_what_is_no_integer_has_no_constant(headers: Headers) -> None:
    names = ("stdin", "_PATH_DEVNULL", "SIGRTMIN", "M_PI", "no_such_name", "LOG_MASK")
    assert [None] * len(names) == [headers.constant(n) for n in names]


def test_a_prototype_of_the_config_is_parsed_as_c(headers: Headers) -> None:
    assert "int add(int a, size_t *b)" == text_of(headers.prototype("int add(int a, size_t *b)"))


@pytest.mark.parametrize("text", ["int x; system(1)", "int f(nope *x)", "f", "int f(int a) {}", "int f(", ""])
def test_what_is_no_prototype_is_refused(headers: Headers, text: str) -> None:
    with pytest.raises(UserError):
        headers.prototype(text)


def test_a_users_header_is_read_like_libcs(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "types.h").write_text("typedef struct { char tag; double value; } mine_t;\n")
    (tmp_path / "mine.h").write_text('#include "mine/types.h"\n\nint mine_open(const mine_t *of, long size);\n')
    function = Headers.read(["mine.h"], [str(tmp_path)]).function("mine_open")
    assert function is not None and function.params[0].type.pointee is not None
    assert ("mine.h:3", 16) == (function.origin, function.params[0].type.pointee.size)


def test_a_missing_header_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"no header missing\.h"):
        Headers.read(["missing.h"])
