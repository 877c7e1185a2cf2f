"""options.py: wc-run's command line."""

from __future__ import annotations

import pytest
from wc_intercept.consumer import options
from wc_intercept.consumer.refusal import Refusal


def parse(line: str) -> options.Options:
    return options.parse(line.split())


def refused(line: str) -> str:
    with pytest.raises(Refusal) as found:
        parse(line)
    assert found.value.status == 125
    return found.value.what


def test_options_end_at_the_first_word_that_is_none() -> None:
    assert parse("--trace open ls -l -T").program == ["ls", "-l", "-T"]


def test_two_dashes_end_the_options() -> None:
    assert parse("-T -- -odd --name").program == ["-odd", "--name"]


def test_a_lone_dash_is_a_word() -> None:
    assert parse("-T - x").program == ["-", "x"]


def test_short_options_join_and_carry_values() -> None:
    found = parse("-Ttty -s64 -ofile x")
    assert (found.spent, found.stamp, found.paths, found.string_limit, found.output) == (True, 2, True, 64, "file")


def test_long_options_take_their_value_either_way() -> None:
    assert (parse("--format=jsonl x").format, parse("--format jsonl x").format) == ("jsonl", "jsonl")


def test_paths_add_up() -> None:
    assert parse("-P /a -P/b x").path == ["/a", "/b"]


def test_processes_to_attach_to_add_up_as_straces_do() -> None:
    assert parse("-p 12 -p13,14 --attach=15").attach == [12, 13, 14, 15]


def test_the_originals_e_names_the_program() -> None:
    found = parse("-e ./prog -c config.json -l")
    assert (found.program, found.config, found.engine) == (["./prog"], "config.json", "preload")


def test_words_behind_the_originals_options_are_the_programs_arguments() -> None:
    assert parse("-e ./prog -c config.json one two").program == ["./prog", "one", "two"]


def test_straces_e_trace_is_trace() -> None:
    assert (parse("-e trace=open,read ls").trace, parse("-e trace=open,read ls").program) == ("open,read", ["ls"])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-p 12 x", "-p and a program exclude each other"),
        ("-p twelve", "-p twelve: not a number"),
        ("-p 12 --preload a.so", "-p and --preload exclude each other"),
        ("-p 12 -l", "-p and --engine preload exclude each other"),
        ("--engine ptrace --preload a.so x", "--engine ptrace and --preload exclude each other"),
        ("--engine other x", "--engine other: not one of auto, preload, ptrace"),
        ("--format wc x", "--format wc needs -o FILE"),
        ("--format xml x", "--format xml: not one of text, jsonl, wc"),
        ("--nonsense x", "no option --nonsense"),
        ("-Q x", "no option -Q"),
        ("-s many x", "-s many: not a number"),
        ("-s", "-s needs a value: N"),
        ("--preload", "--preload needs a value: FILE"),
        ("--summary=yes x", "--summary takes no value"),
        ("--ring-size 12 x", "--ring-size 12: a ring has 64KiB to 1GiB"),
        ("-c a --trace b x", "--config and --trace exclude each other"),
        ("-z -Z x", "-z and -Z exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_by_name(line: str, what: str) -> None:
    assert refused(line) == what


def test_sizes_have_units() -> None:
    sizes = [parse(f"--ring-size {size} x").ring_size for size in ("256KiB", "4MiB", "65536")]
    assert sizes == [1 << 18, 1 << 22, 1 << 16]


def test_a_near_miss_is_named() -> None:
    with pytest.raises(Refusal) as found:
        parse("--sumary x")
    assert found.value.why == "--summary is the nearest"


def test_help_names_every_option() -> None:
    text = options.usage()
    assert [name for name in options.SPELLINGS if name not in text] == []
