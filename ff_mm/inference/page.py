"""A page in the browser of this machine, on which an image is dropped."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ff_mm.display.figures import rendered
from ff_mm.errors import ConfigError
from ff_mm.inference.attribution import Attribution, picture
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.thresholds import Thresholds
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.one_line import one_line

#: Only this machine reaches it.
HOST = '127.0.0.1'
_WARNING = (
    'For research. This is no medical device; the probabilities hold for images like '
    'those that the model was validated on.'
)


class Page:
    """What the page asks for.

    Args:
        model: The model.
        thresholds: What is said of probabilities.
        attribution: Makes the map; None: there is none.
    """

    def __init__(
        self,
        model: TrainedModel,
        thresholds: Thresholds,
        attribution: Attribution | None,
    ) -> None:
        self._predictor = Predictor(model)
        self._model, self._thresholds = model, thresholds
        self._attribution = attribution
        # Hooks of the map must not see another one's pass.
        self._one = threading.Lock()

    @property
    def has_maps(self) -> bool:
        """Whether there is a picture in an answer."""
        return self._attribution is not None

    def answer(
        self, path: str | None
    ) -> tuple[dict[str, float], str, np.ndarray | None]:
        """Looks at one file.

        Args:
            path: The file as it was dropped; None: nothing yet.

        Returns:
            Probabilities by class, a line, and the picture, RGB.
        """
        if path is None:
            return {}, '', None
        with self._one:
            (found,) = self._predictor.predict([path])
            name = one_line(os.path.basename(path))
            if found.scores is None or found.image.inputs is None:
                return {}, f'{name}: {one_line(found.image.problem)}', None
            names = self._model.classes
            scores = {n: float(s) for n, s in zip(names, found.scores, strict=True)}
            said = ', '.join(self._thresholds.said(found.scores)) or 'nothing'
            shown = None
            if self._attribution is not None:
                target = int(found.scores.argmax())
                inputs = found.image.inputs
                found_map = self._attribution.map(inputs, target)
                title = f'{names[target]}: {found.scores[target]:.3f}'
                figure = picture(inputs, found_map, title)
                shown = np.asarray(Image.open(io.BytesIO(rendered(figure, 'png'))))
            return scores, f'{name}: {said}', shown


@contextmanager
def opened(page: Page, title: str, port: int = 0) -> Iterator[Any]:
    """Opens the page, for this machine alone, until the context ends.

    Nothing is sent elsewhere, and no usage is counted. What was dropped lies in a
    folder that goes at the end.

    Args:
        page: Answers.
        title: The name of the model.
        port: Where; 0: any from 7860 on that is free.

    Yields:
        gradio's page, which has ``local_url`` and ``block_thread()``.

    Raises:
        ConfigError: gradio is not installed, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix='ff_mm_page_') as folder:
        # Before gradio is imported, which reads them then.
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
        os.environ['GRADIO_TEMP_DIR'] = folder
        try:
            import gradio
        except ImportError as error:
            raise ConfigError(
                "--page needs gradio: pip install 'ff_mm[web]'"
            ) from error
        blocks = _blocks(gradio, page, title)
        try:
            blocks.launch(
                server_name=HOST,
                server_port=port or None,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                footer_links=[],
                # Fonts of this machine, not of a server.
                theme=gradio.themes.Default(
                    font=['system-ui', 'sans-serif'], font_mono=['monospace']
                ),
            )
        except OSError as error:
            raise ConfigError(
                f'--port {port}: cannot be taken ({error}): give another one'
            ) from error
        try:
            yield blocks
        finally:
            blocks.close()


def _blocks(gradio: Any, page: Page, title: str) -> Any:
    with gradio.Blocks(title=one_line(title)) as blocks:
        gradio.Markdown('# What the model sees')
        gradio.Markdown(_WARNING)
        with gradio.Row():
            with gradio.Column(min_width=300):
                # As a file: an image would be encoded anew, and DICOM refused.
                given = gradio.File(
                    label='Drop an image here, or DICOM', type='filepath'
                )
                line = gradio.Textbox(label='Answer', interactive=False)
            with gradio.Column(min_width=300):
                # Without the most probable class as heading: thresholds may say more.
                said = gradio.Label(label='Probabilities', show_heading=False)
        shown = gradio.Image(
            show_label=False,
            interactive=False,
            # Without the one that sends the picture to a server.
            buttons=['download', 'fullscreen'],
            visible=page.has_maps,
        )
        given.change(page.answer, given, [said, line, shown], api_name='predict')
    return blocks
