"""Text of others as one line that a terminal and a log show, and do not obey."""

from __future__ import annotations

import re

# Control characters, line separators, what turns the direction of the line around, and
# what is no character, which cannot be written. Not all of which Python says that it is
# not printable: spaces of other widths, joiners and private characters are in names.
_OBEYED = re.compile(
    '[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]'
)


def one_line(text: str) -> str:
    r"""Escapes what a terminal would obey, as ``\x1b`` or ``\n``; other text stays.

    Given again, what comes out stays as it is.
    """
    return _OBEYED.sub(lambda found: found[0].encode('unicode_escape').decode(), text)
