"""What is said after a data set has been resized."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from ff_mm.datasets.resizing.resizing import MANIFEST, ResizeReport
from ff_mm.display.console import duration, make_console, say

_SHOWN = 20

_STATES = {
    'resized': 'resized',
    'copied': 'small enough and copied',
    'done': 'done before',
    'unreadable': 'unreadable',
}


def resize_summary(
    report: ResizeReport, target: str, seconds: float, console: Console | None = None
) -> None:
    """Prints what became of the images, what could not be read, and what to do next.

    Args:
        report: What became of them.
        target: The folder that was written.
        seconds: What it took.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    for line in _lines(report, target, seconds):
        say(line, console)


def _lines(report: ResizeReport, target: str, seconds: float) -> list[str]:
    counts = {name: report.states[state] for state, name in _STATES.items()}
    shown = ', '.join(f'{count} {name}' for name, count in counts.items() if count)
    before, after = (f'{size / 1e6:.1f} MB' for size in report.size)
    made = report.states['resized'] + report.states['copied']
    speed = f', {made / seconds:.0f} images a second' if made else ''
    lines = [
        f'{report.states.total()} images: {shown}; other files: {report.other_files}',
        f'{before} -> {after}; {duration(seconds)}{speed}',
    ]
    if report.archives:
        first = ', '.join(report.archives[:3])
        lines.append(f'{len(report.archives)} archives left out: {first}')
    for old, new_extension in report.renamed.items():
        lines.append(
            f'{old} became {new_extension}: a table that names files with their '
            'extension has to be adapted'
        )
    used = report.peak.bit_length()
    if report.peak and used != report.bits:
        lines.append(
            f'images of 16 bits became 8 bits as if they used {report.bits}, but their '
            f'largest value is {report.peak} ({used} bits): --bits {used} --overwrite'
        )
    if report.left_out:
        lines.append('no files of the set, and not in the copy; put them there:')
        lines += _listed(report.left_out, target)
    if report.unreadable:
        lines.append('cannot be read, and are not in the copy:')
        lines += _listed(report.unreadable, target)
    lines.append(f'to use it: --cfg-options data_root={target}')
    return lines


def _listed(reasons: Mapping[str, str], target: str) -> list[str]:
    listed = [f'  {name}: {why}' for name, why in reasons.items()]
    more = len(listed) - _SHOWN
    end = [f'  ... and {more} more in {target}/{MANIFEST}'] if more > 0 else []
    return listed[:_SHOWN] + end
