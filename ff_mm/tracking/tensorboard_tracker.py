"""TensorBoard: a folder of event files for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.registry import VISBACKENDS
from tabulate import tabulate

from ff_mm.display.escaping import markdown
from ff_mm.display.numbers import shown
from ff_mm.tracking.tracker import Tracker, read_image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@VISBACKENDS.register_module()
class TensorboardTracker(Tracker):
    """Writes a run into ``<save_dir>/<name>``: ``tensorboard --logdir <work_dir>``.

    Args:
        save_dir (str): The folder of the runs of one command; each has its own in it.
        run (dict): See :class:`ff_mm.tracking.tracker.Tracker`.
    """

    title = 'TensorBoard'
    package = 'tensorboard'

    def where(self) -> str:
        """The command that shows the work directory."""
        return f'tensorboard --logdir {self.run["folder"]}'

    @property
    def _experiment(self) -> SummaryWriter:
        return self._writer

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(Path(self._save_dir) / self.run['name']))

    def log_config(self, text: str) -> None:
        """As code, which Markdown shows as it is."""
        code = '\n'.join(f'    {line}' for line in text.splitlines())
        self._writer.add_text('config', code)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """A chart each; those of one prefix stand together."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def log_image(self, name: str, image: np.ndarray, step: int) -> None:
        """Under IMAGES."""
        self._writer.add_image(name, image, step, dataformats='HWC')

    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Under TEXT."""
        cells = [[_cell(value) for value in row] for row in rows]
        headers = [markdown(column) for column in columns]
        table = tabulate(cells, headers, tablefmt='github', disable_numparse=True)
        self._writer.add_text(name, table)

    def log_file(self, name: str, path: Path) -> None:
        """Plots under IMAGES, Markdown under TEXT; it has no place for others."""
        if path.suffix == '.png':
            self.log_image(name, read_image(path), 0)
        elif path.suffix == '.md':
            self._writer.add_text(name, path.read_text(encoding='utf-8'))

    def log_begin(self, step: int) -> None:
        """Has readers forget what was written after the state that is resumed."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        log = SessionLog(status=SessionLog.START)
        self._writer._get_file_writer().add_event(Event(step=step, session_log=log))

    def _close(self) -> None:
        self._writer.close()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return shown(value)
    return '' if value is None else markdown(str(value))
