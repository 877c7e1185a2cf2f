"""Text in strace's look, and nothing in it that could disturb a terminal."""

from __future__ import annotations

import io
import re
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_builder import Blob, PlainClock, Recorder, manifest_of, symbol_of
from wc_intercept.consumer import abi
from wc_intercept.consumer.accounting import Inside
from wc_intercept.consumer.calls import Joiner
from wc_intercept.consumer.decode import Decoder
from wc_intercept.consumer.text import TextLines, wants_color
from wc_intercept.consumer.words import enum, escaped, flags, mode_word, signal_set_word
from wc_intercept.generator.manifest import Element, Field, Names, Return, Target

TEXT = Field("pathname", "pointer", 0, 8, content="text")
FD = Field("fd", "int", 0, 4, role="fd")
BUF = Field("buf", "pointer", 0, 8, content="bytes")
COUNT = Field("count", "uint", 0, 8)
MODE = Field("mode", "uint", 0, 4, role="mode")
FLAGS = Field("flags", "int", 0, 4, role="flags", names="open")
DIRFD = Field("dirfd", "int", 0, 4, role="dirfd")
OPENAT = symbol_of("openat", DIRFD, TEXT, FLAGS, MODE, wrapper="mode-if-flag", result=Return("int", 4, "fd", fail="-1"))
READ = symbol_of("read", FD, BUF, COUNT, result=Return("int", 8, fail="-1"))
CLOSE = symbol_of("close", FD, result=Return("int", 4, fail="-1"))
NAMES = {
    "open": Names("flags", [("O_RDONLY", 0, 3), ("O_WRONLY", 1, 3), ("O_RDWR", 2, 3), ("O_CREAT", 0o100, 0),
                            ("O_DSYNC", 0o10000, 0), ("O_SYNC", 0o4010000, 0), ("O_CLOEXEC", 0o2000000, 0)]),
    "whence": Names("enum", [("SEEK_SET", 0, 0), ("SEEK_CUR", 1, 0), ("SEEK_END", 2, 0)]),
    "prot": Names("flags", [("PROT_NONE", 0, 7), ("PROT_READ", 1, 0), ("PROT_WRITE", 2, 0)]),
}  # fmt: skip
AT_FDCWD, O_CREAT, O_CLOEXEC = -100, 0o100, 0o2000000


class Session:
    """Chunks in, text out, as wc-run does it."""

    def __init__(self, recorder: Recorder, **options: object) -> None:
        self.recorder = recorder
        self.decoder, self.joiner = Decoder(recorder.manifest, PlainClock()), Joiner()
        self.lines = TextLines(recorder.manifest, **options)

    def show(self) -> list[str]:
        batches = self.joiner.join(self.decoder.decode(self.recorder.chunk()))
        return self.lines.render(batches).decode("ascii").splitlines()

    def finish(self, *inside: Inside) -> list[str]:
        parts = self.joiner.finish(self.decoder, inside)
        shown = [line for part in parts for line in self.lines.render(part).decode("ascii").splitlines()]
        return shown + self.lines.finish().decode("ascii").splitlines()


def recorder_of(*symbols: object, **parts: object) -> Recorder:
    return Recorder(manifest_of(*symbols, names=NAMES, **parts))


def line_of(recorder: Recorder, **options: object) -> str:
    (line,) = Session(recorder, **options).show()
    return line


def one(field: Field, value: object, structs: dict | None = None, **options: object) -> str:
    """One argument as text shows it."""
    line = line_of(recorder_of(symbol_of("f", field), structs=structs or {}).call("f", value), **options)
    return line.removeprefix("f(").removesuffix(") = <void>")


def out(element: Element) -> Field:
    return Field("p", "pointer", 0, 8, content="values", element=element)


@pytest.mark.parametrize(
    ("args", "ret", "expected"),
    [((AT_FDCWD, "x", O_CLOEXEC, 0), 3, 'openat(AT_FDCWD, "x", O_RDONLY|O_CLOEXEC) = 3'),
     ((5, "x", O_CREAT | 1, 0o644), 4, 'openat(5, "x", O_WRONLY|O_CREAT, 0644) = 4'),
     ((AT_FDCWD, "x", 0, 0), -1, 'openat(AT_FDCWD, "x", O_RDONLY) = -1 ENOENT (No such file or directory)'),
     ((AT_FDCWD, None, 0x20000002, 0), -1,
      "openat(AT_FDCWD, NULL, O_RDWR|0x20000000) = -1 ENOENT (No such file or directory)"),
     ((AT_FDCWD, 0x1234, 0, 0), -1, "openat(AT_FDCWD, 0x1234, O_RDONLY) = -1 ENOENT (No such file or directory)")],
)  # fmt: skip
def test_openat_reads_as_in_strace(args, ret, expected):
    assert expected == line_of(recorder_of(OPENAT).call("openat", *args, ret=ret, error=2))


def test_some_calls_of_a_batch_have_a_mode_and_others_not():
    recorder = recorder_of(OPENAT).call("openat", 3, "a", O_CREAT, 0o600, ret=4).call("openat", 3, "b", 0, 0o777, ret=5)

    assert ['openat(3, "a", O_RDONLY|O_CREAT, 0600) = 4', 'openat(3, "b", O_RDONLY) = 5'] == Session(recorder).show()


def test_fcntl_shows_its_third_argument_when_the_command_has_one():
    cmd, arg = Field("cmd", "int", 0, 4), Field("arg", "int", 0, 8)
    recorder = recorder_of(symbol_of("fcntl", FD, cmd, arg, wrapper="optional-word"))
    recorder.call("fcntl", 3, 1, 99).call("fcntl", 3, 2, 1)

    assert ["fcntl(3, 1) = <void>", "fcntl(3, 2, 1) = <void>"] == Session(recorder).show()


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, "O_RDONLY"), (O_CREAT | 2, "O_RDWR|O_CREAT"), (0o4010000, "O_RDONLY|O_SYNC"), (0o10000, "O_RDONLY|O_DSYNC"),
     (3, "0x3"), (-1, "O_CREAT|O_SYNC|O_CLOEXEC|0xffe7efbf"), (0x40000000, "O_RDONLY|0x40000000")],
)  # fmt: skip
def test_flags_are_named_and_the_rest_is_hexadecimal(number, word):
    assert word == flags(NAMES["open"], 32)[number]


def test_zero_flags_and_enums():
    assert ["PROT_NONE", "PROT_READ|PROT_WRITE"] == [flags(NAMES["prot"], 32)[n] for n in (0, 3)]
    assert ["SEEK_SET", "SEEK_END", "0x63", "-5"] == [enum(NAMES["whence"], 32)[n] for n in (0, 2, 99, -5)]
    assert "0" == flags(Names("flags", [("A", 1, 0)]), 32)[0]


@pytest.mark.parametrize(
    ("mode", "word"),
    [(0, "000"), (0o22, "022"), (0o644, "0644"), (0o1777, "01777"), (0o100644, "S_IFREG|0644"),
     (0o41777, "S_IFDIR|S_ISVTX|0777"), (0o104755, "S_IFREG|S_ISUID|0755")],
)  # fmt: skip
def test_modes_are_octal_with_the_kind_of_file_by_name(mode, word):
    assert word == mode_word(mode)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain text", "plain text"), ('a"b\\c', r"a\"b\\c"), ("\n\t\r\v\f", r"\n\t\r\v\f"), ("\0", r"\0"),
     ("\x001", r"\0001"), ("\x1b[31m", r"\33[31m"), ("\x019", r"\0019"), ("caf\u00e9", r"caf\351"), ("\x7f", r"\177")],
)  # fmt: skip
def test_strings_are_quoted_with_c_escapes(text, shown):
    assert shown == escaped(text)


def test_utf8_is_escaped_byte_by_byte():
    assert r'"\303\251"' == one(TEXT, "\u00e9")


def test_a_string_that_was_cut_says_so_wherever_it_was_cut():
    cut = Blob(b"abcdef", abi.BLOB_KEPT | abi.BLOB_TRUNCATED)

    assert '"abcdef"...' == one(BUF, cut)
    assert '"abc"...' == one(BUF, cut, string_limit=3)
    assert '"abc"...' == one(BUF, b"abcdef", string_limit=3)
    assert '"abc"' == one(BUF, b"abc", string_limit=3)
    assert '"/a/path"' == one(TEXT, "/a/path", string_limit=3)


STAT = [Field("st_dev", "uint", 0, 8), Field("st_mode", "uint", 8, 4, role="mode"), Field("st_uid", "uint", 12, 4),
        Field("st_size", "int", 16, 8)]  # fmt: skip
TIMESPEC = [Field("tv_sec", "int", 0, 8), Field("tv_nsec", "int", 8, 8)]


def test_out_parameters():
    stat = struct.pack("<QIIq", 1, 0o100644, 0, 5)
    timespec = struct.pack("<qq", 1, 500)

    assert "[3, 4]" == one(out(Element("int", 4, many=True)), struct.pack("<ii", 3, 4))
    assert "[-7]" == one(out(Element("int", 4)), struct.pack("<i", -7))
    assert "NULL" == one(out(Element("int", 4)), None)
    assert "0x7f0000001000" == one(out(Element("int", 4)), Blob(b"", 0))
    assert "{st_mode=S_IFREG|0644, st_size=5, ...}" == one(out(Element("struct", 24, struct="s")), stat, {"s": STAT})
    assert "{tv_sec=1, tv_nsec=500}" == one(out(Element("struct", 16, struct="s")), timespec, {"s": TIMESPEC})
    assert "[{tv_sec=1, tv_nsec=500}]" == one(
        out(Element("struct", 16, struct="s", many=True)), timespec, {"s": TIMESPEC})  # fmt: skip
    assert "[INT TERM]" == one(out(Element("uint", 8, role="sigset")), struct.pack("<Q", 1 << 1 | 1 << 14))


def test_long_structs_and_lists_are_cut():
    many = [Field(f"m{i}", "int", 4 * i, 4) for i in range(9)]
    numbers = struct.pack("<40i", *range(40))

    assert "{m0=0, m1=1, m2=2, m3=3, ...}" == one(out(Element("struct", 36, struct="s")), numbers[:36], {"s": many})
    assert one(out(Element("int", 4, many=True)), numbers).endswith("30, 31, ...]")
    assert '["a", "b"]' == one(Field("argv", "pointer", 0, 8, content="texts"), ["a", "b"])


def test_what_has_an_idiom_is_written_in_it():
    def behind(name: str, data: object, element: Element, structs: dict) -> str:
        return one(Field(name, "pointer", 0, 8, content="values", element=element), data, structs)

    words = [Field("bits", "uint", 0, 128, many=16)]
    poll = {"struct pollfd": [FD, Field("events", "int", 4, 2), Field("revents", "int", 6, 2)]}
    status, fds, signals = Element("int", 4), struct.pack("<QQ112x", 9, 1), struct.pack("<Q120x", 2)

    assert "[0 3 64]" == behind("s", fds, Element("struct", 128, struct="fd_set"), {"fd_set": words})
    assert "[INT]" == behind("s", signals, Element("struct", 128, struct="sigset_t"), {"sigset_t": words})
    assert "[{fd=5, events=POLLIN|POLLOUT, revents=POLLHUP}]" == behind(
        "fds", struct.pack("<ihh", 5, 5, 16), Element("struct", 8, struct="struct pollfd", many=True), poll
    )
    epoll = {"struct epoll_event": [Field("events", "uint", 0, 4), Field("data", "raw", 4, 8)]}
    assert "{events=EPOLLIN|EPOLLET, data=0x5}" == behind(
        "event", struct.pack("<IQ", 1 | 1 << 31, 5), Element("struct", 12, struct="struct epoll_event"), epoll
    )
    assert "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]" == behind("wstatus", struct.pack("<i", 0x300), status, {})
    assert "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}]" == behind("wstatus", struct.pack("<i", 9), status, {})
    assert " && WCOREDUMP(s)}]" in behind("wstatus", struct.pack("<i", 0x8B), status, {})
    assert "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}]" == behind("wstatus", struct.pack("<i", 0x137F), status, {})
    assert "NULL" == behind("wstatus", None, status, {})
    action = [Field("__sigaction_handler", "raw", 0, 8), Field("sa_mask", "struct", 8, 128, struct="sigset_t"),
              Field("sa_flags", "int", 136, 4), Field("sa_restorer", "pointer", 144, 8)]  # fmt: skip
    assert "{sa_handler=SIG_IGN, sa_mask=[INT], sa_flags=SA_RESTART}" == behind(
        "act", struct.pack("<QQ120xi4xQ", 1, 2, 1 << 28, 0), Element("struct", 152, struct="struct sigaction"),
        {"struct sigaction": action, "sigset_t": words})  # fmt: skip
    assert "0x7f0000001000 /* 2 vars */" == one(Field("envp", "pointer", 0, 8, content="texts"), ["A=1", "B=2"])


def test_an_alias_is_shown_as_the_target_with_the_target_s_arguments():
    printf = symbol_of("printf", Field("format", "pointer", 0, 8, content="text"), result=Return("int", 4))
    checked = symbol_of("__printf_chk", Field("flag", "int", 0, 4), *printf.fields, result=Return("int", 4))
    other = symbol_of("other", Field("n", "int", 0, 4), result=Return("int", 4))
    recorder = recorder_of(printf, checked, other, targets=[Target("printf")])
    recorder.call("__printf_chk", 1, "hi", ret=2).call("other", 7)

    assert ['printf("hi") = 2', "printf(7) = 0"] == Session(recorder).show()


def test_words_of_any_meaning_are_numbers_or_addresses():
    arg = Field("arg", "uint", 0, 8)
    recorder = recorder_of(symbol_of("ioctl", FD, arg, wrapper="optional-word"), symbol_of("f", arg))
    recorder.call("ioctl", 1, 5).call("ioctl", 1, 0x7F0000001000).call("f", 0x7F0000001000)

    assert ["ioctl(1, 5)", "ioctl(1, 0x7f0000001000)", f"f({0x7F0000001000})"] == [
        line.removesuffix(" = <void>") for line in Session(recorder).show()
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [(struct.pack("<H", socket.AF_INET) + b"\0\x50\x7f\0\0\x01" + bytes(8),
      '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}'),
     (struct.pack("<H", socket.AF_UNIX) + b"/run/x\0\0", '{sa_family=AF_UNIX, sun_path="/run/x"}'),
     (struct.pack("<H", socket.AF_UNIX) + b"\0abstract", '{sa_family=AF_UNIX, sun_path=@"abstract"}'),
     (struct.pack("<H", socket.AF_INET6) + struct.pack(">HI", 443, 0) + bytes(15) + b"\x01" + bytes(4),
      '{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), '
      "sin6_scope_id=0}"),
     (struct.pack("<H", 9999) + b"\x01", r'{sa_family=0x270f, sa_data="\1"}'), (b"x", '"x"')],
)  # fmt: skip
def test_socket_addresses(data, text):
    assert text == one(Field("addr", "pointer", 0, 8, content="bytes", role="sockaddr"), data)


def test_scalars_in_the_words_of_their_role():
    def scalar(kind: str, size: int, value: object, **role: str) -> str:
        return one(Field("n", kind, 0, size, **role), value)

    assert "SIGINT" == scalar("int", 4, 2, role="signal")
    assert "SIGRT_2" == scalar("int", 4, 34, role="signal")
    assert "ENOENT" == scalar("int", 4, 2, role="errno")
    assert "'a'" == scalar("int", 4, 97, role="char")
    assert r"'\n'" == scalar("int", 4, 10, role="char")
    assert "CLOCK_MONOTONIC" == scalar("int", 4, 1, role="clockid")
    assert "-1" == scalar("uint", 4, 0xFFFFFFFF, role="uid")
    assert "SEEK_END" == scalar("int", 4, 2, role="enum", names="whence")
    assert "true" == scalar("bool", 1, 1)
    assert "0.5" == scalar("float", 8, 0.5)
    assert "1+2*I" == one(Field("z", "complex", 0, 16), struct.pack("<dd", 1, 2))
    assert "0xdead" == scalar("pointer", 8, 0xDEAD)
    assert "~[KILL]" == signal_set_word((1 << 64) - 1 & ~(1 << 8))


@pytest.mark.parametrize(
    ("result", "ret", "text"),
    [(Return("pointer", 8, fail="NULL"), 0, "NULL ENOMEM (Cannot allocate memory)"),
     (Return("pointer", 8, fail="NULL"), 0x1000, "0x1000"),
     (Return("pointer", 8, fail="MAP_FAILED"), -1, "-1 ENOMEM (Cannot allocate memory)"),
     (Return("int", 4, fail="errno"), 11, "11 EAGAIN (Resource temporarily unavailable)"), (Return(), 0, "<void>"),
     (Return("int", 4, "errno", fail="errno"), 11, "11 EAGAIN (Resource temporarily unavailable)"),
     (Return("uint", 4, "mode"), 0o22, "022"), (Return("int", 4, "char"), 97, "'a'"), (Return("float", 8), 1.5, "1.5"),
     (Return("int", 4, fail="-1"), -1, "-1 ENOMEM (Cannot allocate memory)")],
)  # fmt: skip
def test_results(result, ret, text):
    line = line_of(recorder_of(symbol_of("f", result=result)).call("f", ret=ret, error=12))

    assert f"f() = {text}" == line


def test_signal_handlers_have_names():
    handler, signum = Field("handler", "pointer", 0, 8), Field("signum", "int", 0, 4, role="signal")
    symbol = symbol_of("signal", signum, handler, result=Return("pointer", 8, fail="SIG_ERR"))
    recorder = recorder_of(symbol).call("signal", 13, 1, ret=0).call("signal", 13, 0x1000, ret=1)
    recorder.call("signal", 9, 0, ret=-1, error=22)

    assert [
        "signal(SIGPIPE, SIG_IGN) = SIG_DFL", "signal(SIGPIPE, 0x1000) = SIG_IGN",
        "signal(SIGKILL, SIG_DFL) = SIG_ERR EINVAL (Invalid argument)",
    ] == Session(recorder).show()  # fmt: skip


def test_a_failure_without_errno_is_the_bare_result():
    assert "close(3) = -1" == line_of(recorder_of(CLOSE).call("close", 3, ret=-1, error=0))


def test_varargs_follow_the_format():
    symbol = symbol_of("printf", Field("format", "pointer", 0, 8, content="text"),
                       Field("...", "none", 0, 0, content="varargs"), result=Return("int", 4, fail="<0"))  # fmt: skip
    items = [("i", 5), ("s", "x"), ("t", "long"), ("z", None), ("p", 0x10), ("f", 0.5), ("c", 65)]
    recorder = recorder_of(symbol).call("printf", "%d...", items, ret=9).call("printf", "hi", [], ret=2)

    expected = 'printf("%d...", 5, "x", "long"..., NULL, 0x10, 0.5, \'A\') = 9'
    assert [expected, 'printf("hi") = 2'] == Session(recorder).show()


def test_a_percent_sign_in_a_name_is_a_percent_sign():
    assert "od%d(1) = <void>" == line_of(recorder_of(symbol_of("od%d", Field("n", "int", 0, 4))).call("od%d", 1))


def test_a_call_that_never_returns():
    recorder = recorder_of(symbol_of("exit_group", FD, wrapper="noreturn"), symbol_of("vfork", wrapper="tail-jump"))
    recorder.call("exit_group", 0, kind=abi.ENTER).call("vfork", kind=abi.ENTER)

    assert ["exit_group(0) = ?", "vfork() = ?"] == Session(recorder).show()


def test_calls_that_the_program_ended_in():
    session = Session(recorder_of(symbol_of("pause"), READ))

    assert ["pause( <unfinished ...>", "read(3,  <unfinished ...>"] == session.finish(
        Inside(100, 100, 0, 50, 0), Inside(100, 100, 1, 60, 3))  # fmt: skip


def test_an_exec_shows_its_path_and_never_returns():
    symbol = symbol_of("execve", TEXT, Field("argv", "pointer", 0, 8), Field("envp", "pointer", 0, 8))
    session = Session(recorder_of(symbol).exec("execve", b"/bin/ls"))

    assert [] == session.show()
    assert ['execve("/bin/ls", ...) = ?'] == session.finish()


def both() -> Recorder:
    targets = [Target("read", record="both"), Target("close")]
    return recorder_of(READ, symbol_of("close", FD, target=1, result=CLOSE.result), targets=targets)


def test_an_entered_call_whose_return_is_next_is_one_line():
    recorder = both().call("read", 3, 77, 5, kind=abi.ENTER, clock=7).call("read", 3, b"hello", 5, ret=5, clock=7)
    session = Session(recorder)

    assert ['read(3, "hello", 5) = 5'] == session.show()
    recorder.call("read", 3, 77, 5, kind=abi.ENTER, clock=8)
    assert [] == session.show()
    recorder.call("read", 3, b"hello", 5, ret=5, clock=8)
    assert ['read(3, "hello", 5) = 5'] == session.show()


def test_a_call_is_two_lines_when_others_came_between_and_its_halves_add_up():
    recorder = both().call("read", 3, 77, 5, kind=abi.ENTER, clock=7).call("close", 9)
    recorder.call("read", 3, b"hello", 5, ret=5, clock=7)

    first, between, second = Session(recorder).show()

    assert ("read(3,  <unfinished ...>", "close(9) = 0") == (first, between)
    assert '<... read resumed>"hello", 5) = 5' == second


def test_two_lines_over_two_chunks_with_another_thread_between():
    recorder = both().call("read", 3, 77, 5, kind=abi.ENTER, clock=7)
    session = Session(recorder)
    assert [] == session.show()
    recorder.tid = 200
    recorder.call("close", 9)
    assert ["read(3,  <unfinished ...>", "[pid   200] close(9) = 0"] == [
        line.removeprefix("[pid   100] ") for line in session.show()
    ]
    recorder.tid = 100
    recorder.call("read", 3, 77, 5, ret=-1, error=4, clock=7)
    assert ["[pid   100] <... read resumed>0x4d, 5) = -1 EINTR (Interrupted system call)"] == session.show()


def test_an_entered_call_that_is_the_last_line_comes_at_the_end():
    session = Session(both().call("read", 3, 77, 5, kind=abi.ENTER, clock=7))

    assert [] == session.show()
    assert ["read(3,  <unfinished ...>"] == session.finish()


def test_the_thread_is_named_from_the_second_one_on():
    recorder = recorder_of(CLOSE)
    session = Session(recorder)
    shown = []
    for tid in (100, 101, 100):
        recorder.tid = tid
        recorder.call("close", 3)
        shown += session.show()

    assert ["close(3) = 0", "[pid   101] close(3) = 0", "[pid   100] close(3) = 0"] == shown


@pytest.mark.parametrize(
    ("stamp", "pattern"),
    [("t", r"\d\d:\d\d:\d\d close"), ("tt", r"\d\d:\d\d:\d\d\.123456 close"), ("ttt", r"1700000000\.123456 close"),
     ("r", r"     0\.000000 close")],
)  # fmt: skip
def test_time_prefixes(stamp, pattern):
    recorder = recorder_of(CLOSE).call("close", 3, clock=1_700_000_000_123_456_789)

    assert re.match(pattern, line_of(recorder, stamp=stamp))


def test_relative_times_count_from_the_line_before():
    recorder = recorder_of(CLOSE, READ)
    for i, name in enumerate(("close", "read", "close")):
        recorder.call(name, *((3,) if name == "close" else (3, b"", 0)), clock=10**9 + i * 1_500_000_000)
    session = Session(recorder, stamp="r")

    assert ["0.000000", "1.500000", "1.500000"] == [line.split()[0] for line in session.show()]


def test_the_time_spent_stands_behind_the_result():
    recorder = recorder_of(CLOSE).call("close", 3, duration=42_999).call("close", 3, duration=None)

    assert ["close(3) = 0 <0.000042>", "close(3) = 0"] == Session(recorder, durations=True).show()


DUP = symbol_of("dup", Field("oldfd", "int", 0, 4, role="fd"), result=Return("int", 4, "fd", fail="-1"))


def test_descriptors_are_followed_by_their_path():
    recorder = recorder_of(OPENAT, READ, CLOSE, DUP)
    recorder.call("read", 3, b"", 0).call("openat", AT_FDCWD, "/etc/x", 0, 0, ret=3).call("read", 3, b"", 0)
    recorder.call("dup", 3, ret=4).call("close", 3).call("read", 3, b"", 0).call("read", 4, b"", 0)
    recorder.call("openat", AT_FDCWD, "/dir", 0, 0, ret=5).call("openat", 5, "file", 0, 0, ret=6)
    session = Session(recorder, paths=True)

    assert [
        'read(3, "", 0) = 0', 'openat(AT_FDCWD, "/etc/x", O_RDONLY) = 3</etc/x>', 'read(3</etc/x>, "", 0) = 0',
        "dup(3</etc/x>) = 4</etc/x>", "close(3</etc/x>) = 0", 'read(3, "", 0) = 0', 'read(4</etc/x>, "", 0) = 0',
        'openat(AT_FDCWD, "/dir", O_RDONLY) = 5</dir>', 'openat(5</dir>, "file", O_RDONLY) = 6</dir/file>',
    ] == session.show()  # fmt: skip
    recorder.call("read", 4, b"", 0).call("close", 4, ret=-1, error=4).call("read", 4, b"", 0)
    assert ['read(4</etc/x>, "", 0) = 0'] == [line for line in session.show() if line.startswith("read")][1:]


def test_a_walk_up_and_down_again_does_not_lengthen_paths():
    recorder = recorder_of(OPENAT).call("openat", AT_FDCWD, "/a/b", 0, 0, ret=3)
    for _ in range(3):
        recorder.call("openat", 3, "..", 0, 0, ret=4).call("openat", 4, "b", 0, 0, ret=3)
    recorder.call("openat", 9, "x", 0, 0, ret=5)

    lines = Session(recorder, paths=True).show()
    assert ['openat(3</a/b>, "..", O_RDONLY) = 4</a>', 'openat(4</a>, "b", O_RDONLY) = 3</a/b>'] == lines[5:7]
    assert 'openat(9, "x", O_RDONLY) = 5' == lines[7]


def test_a_forked_child_inherits_descriptors_and_another_process_does_not():
    recorder = recorder_of(OPENAT, CLOSE).call("openat", AT_FDCWD, "/etc/x", 0, 0, ret=3)
    session = Session(recorder, paths=True)
    session.show()
    recorder.pid = recorder.tid = 101
    recorder.identity(abi.PROCESS, 101, 101, 100, abi.PROCESS_FORK).call("close", 3)
    inherited = session.show()
    recorder.pid = recorder.tid = 102
    recorder.call("close", 3)

    assert ["[pid   101] close(3</etc/x>) = 0"] == inherited
    assert ["[pid   102] close(3) = 0"] == session.show()


def test_a_child_has_what_its_parent_had_when_it_was_born():
    """Whichever of the two is heard of first; a vfork child, and one whose first words are an exec."""
    fork = symbol_of("vfork", result=Return("int", 4, "pid", fail="-1"))
    recorder = recorder_of(OPENAT, CLOSE, fork).call("openat", AT_FDCWD, "/etc/x", 0, 0, ret=3)
    recorder.call("vfork", ret=101).call("close", 3).call("openat", AT_FDCWD, "/etc/y", 0, 0, ret=3)
    session = Session(recorder, paths=True)
    session.show()
    recorder.pid = recorder.tid = 101
    recorder.identity(abi.PROCESS, 101, 101, 100, abi.PROCESS_EXEC).call("close", 3)
    assert ["[pid   101] close(3</etc/x>) = 0"] == session.show()

    recorder.pid = recorder.tid = 102
    recorder.identity(abi.PROCESS, 102, 102, 100, abi.PROCESS_VFORK).call("openat", AT_FDCWD, "/etc/z", 0, 0, ret=3)
    session.show()
    recorder.pid = recorder.tid = 100
    recorder.call("vfork", ret=102)
    session.show()
    recorder.pid = recorder.tid = 102
    recorder.call("close", 3)
    assert ["[pid   102] close(3</etc/z>) = 0"] == session.show()


def test_errors_are_red_when_asked_for():
    recorder = recorder_of(CLOSE).call("close", 3, ret=-1, error=9).call("close", 3)

    failed, done = Session(recorder, color=True).show()
    assert ("close(3) = \x1b[31m-1 EBADF (Bad file descriptor)\x1b[0m", "close(3) = 0") == (failed, done)


def test_color_is_for_terminals_unless_the_environment_says_no(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert (True, False, True, False) == (
        wants_color("auto", Terminal()), wants_color("auto", io.StringIO()),
        wants_color("always", io.StringIO()), wants_color("never", Terminal()))  # fmt: skip
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color("auto", Terminal())


def test_what_is_not_a_call_is_shown_only_when_asked_for():
    recorder = recorder_of(CLOSE)
    recorder.identity(abi.PROCESS, 100, 100, 50, abi.PROCESS_FORK)
    recorder.record(abi.LOST, abi.SYMBOL_NONE, bytearray(64), ret=12)
    cells = bytes(recorder.data)

    assert [] == Session(recorder).show()
    recorder.data += cells
    shown = Session(recorder, events=True).show()
    assert ["+++ process 100 by fork from 50 +++", "--- 12 records lost here ---"] == shown


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_byte_that_a_program_passes_reaches_the_terminal(data):
    recorder = recorder_of(OPENAT, READ).call("openat", 3, data, 0, 0).call("read", 3, data, len(data), ret=1)

    for line in Session(recorder, paths=True).show():
        assert line.isprintable()
        assert line.isascii()
