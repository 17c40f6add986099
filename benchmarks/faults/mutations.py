"""Damaged inputs: files with bytes changed, lost, doubled and put in, and texts of the signs that count."""

from collections.abc import Sequence

from hypothesis import strategies as st

CANARY = "executed-by-an-input"
"""A file that nothing but code inside an input would write."""

_PIECES: tuple[bytes, ...] = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b",", b'"', b"'", b": ", b"- ", b"{", b"}", b"[", b"]"),
    *(
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\xef\xbc\x98",
        b"&a ",
        b"*a",
        b"<<: *a",
        b"#",
        b"%",
        b"!!binary ",
    ),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"-1", b".nan", b".inf", b"1e999", b"null", b"true", b"x" * 200_000),
    f"!!python/object/apply:os.system ['touch {CANARY}']".encode(),
    f"cos\nsystem\n(S'touch {CANARY}'\ntR.".encode(),
)


@st.composite
def damaged(draw: st.DrawFn, originals: Sequence[bytes], most: int = 4) -> bytes:
    """One of some files with a few changes; sometimes with none.

    Args:
        draw: Hypothesis's.
        originals: The contents of sound files.
        most: Largest number of changes.
    """
    content = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, most))):
        content = _changed(draw, content)
    return content


def _changed(draw: st.DrawFn, content: bytes) -> bytes:
    place = draw(st.integers(0, max(0, len(content) - 1)))
    end = min(len(content), place + draw(st.integers(1, 40)))
    kind = draw(st.sampled_from(("flip", "drop", "double", "insert", "cut", "swap", "zero")))
    head, middle, tail = content[:place], content[place:end], content[end:]
    if kind == "flip" and middle:
        return head + bytes([middle[0] ^ (1 << draw(st.integers(0, 7)))]) + middle[1:] + tail
    if kind == "insert":
        return head + draw(st.sampled_from(_PIECES)) + middle + tail
    if kind == "swap":
        other = tail[: len(middle)]
        return head + other + middle + tail[len(other) :]
    parts = {"drop": head + tail, "double": head + middle * 2 + tail, "cut": head}
    return parts.get(kind, head + bytes(len(middle)) + tail)


def texts_of(signs: str, words: Sequence[str], most: int = 12) -> st.SearchStrategy[str]:
    """Texts of some signs and words.

    Args:
        signs: Single signs.
        words: Whole words.
        most: Largest number of either.
    """
    return st.lists(st.sampled_from([*signs, *words]), max_size=most).map("".join)
