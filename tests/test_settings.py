"""settings.py: the end of a manifest, read without decoding it, says what decoding it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wc_intercept.consumer import settings
from wc_intercept.generator import manifest

TEXT = st.text(max_size=20) | st.sampled_from(['"', '\\"', '\\\\"', '","ring_size":5', '}],"on_full":"drop"', "a b:c"])


def encode(**fields: object) -> bytes:
    platform = manifest.Platform("x86_64", "glibc", "libc.so.6")
    return manifest.encode(manifest.Manifest("0", platform, **fields))  # type: ignore[arg-type]


@given(
    handlers=TEXT,
    preload=TEXT,
    logger=TEXT,
    ring_size=st.integers(0, 1 << 40),
    on_full=st.sampled_from(["block", "drop", "overwrite"]),
    block_ms=st.integers(0, 10**9),
    string_limit=st.integers(0, 4096),
)
def test_the_settings_are_the_decoded_manifests(**fields: object) -> None:
    target = manifest.Target("open", on_full="drop")
    coverage = manifest.Coverage('x"', where=str(fields["preload"]))
    text = encode(targets=[target], symbols=[], coverage=[coverage], **fields)
    found = vars(settings.read(text))
    decoded = manifest.decode(text)
    assert found == {name: getattr(decoded, name) for name in found}


def test_nothing_given_means_the_defaults() -> None:
    assert vars(settings.read(encode(targets=[], symbols=[]))) == vars(settings.Settings())


def test_a_targets_policy_is_not_the_sessions() -> None:
    text = encode(targets=[manifest.Target("open", on_full="drop")], symbols=[])
    assert settings.read(text).on_full == "block"
