"""What a model says of images, batch by batch, as evaluation has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ff_mm.cores import read_workers
from ff_mm.evaluation.kept_images import usual_size
from ff_mm.inference.loading import ImageFiles, ImageLoader, LoadedImage
from ff_mm.inference.test_time import views
from ff_mm.inference.trained_model import TrainedModel

# Fewer images are decoded sooner than workers have started.
_FEW = 256


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: The file, and what the model was shown.
        scores: Probabilities of the classes or labels, float32; None: it could not be
            read, and ``image.problem`` says why.
    """

    image: LoadedImage
    scores: np.ndarray | None


class Predictor:
    """Gives probabilities of images.

    The steps are those of evaluation: the same pipeline, preprocessing, precision,
    memory format and number of images at a time.

    Args:
        model: The model.
        tta: Names of :data:`ff_mm.inference.test_time.VIEWS`, by which each image is
            shown in several ways; (): as it is.
    """

    def __init__(self, model: TrainedModel, tta: Sequence[str] = ()) -> None:
        self.model = model
        self.loader = ImageLoader(model.cfg.pipeline)
        self._views = views(tta)

    def predict(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """Yields a prediction for each file, in the order of the files.

        Args:
            paths: The files. One that cannot be read does not keep back the others.
        """
        workers = read_workers('auto') if len(paths) > _FEW else 0
        files: DataLoader = DataLoader(
            ImageFiles(paths, self.loader),  # type: ignore[arg-type]
            batch_size=_FEW,
            num_workers=workers,
            collate_fn=list,
        )
        for loaded in files:
            yield from self._of_batch(loaded)

    def _of_batch(self, loaded: list[LoadedImage]) -> Iterator[Prediction]:
        readable = [image for image in loaded if image.inputs is not None]
        # Images of one size go together.
        found: dict[int, np.ndarray] = {}
        for _, group in groupby(readable, key=lambda image: image.inputs.shape):  # type: ignore[union-attr]
            images = list(group)
            inputs = torch.stack([image.inputs for image in images])  # type: ignore[misc]
            for image, scores in zip(images, self.scores(inputs), strict=True):
                found[id(image)] = scores
        for image in loaded:
            yield Prediction(image, found.get(id(image)))

    def scores(self, inputs: Tensor) -> np.ndarray:
        """Returns probabilities of images as they come out of the pipeline.

        Args:
            inputs: uint8 of shape (images, channels, height, width).

        Returns:
            Float32 of shape (images, classes or labels).
        """
        options, device = self.model.options, self.model.device
        inputs = inputs.to(device)
        size = options.batch_size or usual_size(inputs, device)
        parts = [self._of_views(part) for part in inputs.split(size)]
        return np.concatenate(parts)

    def _of_views(self, inputs: Tensor) -> np.ndarray:
        seen = [self._scores(view(inputs)) for view in self._views]
        return seen[0] if len(seen) == 1 else np.stack(seen).mean(axis=0)

    def _scores(self, inputs: Tensor) -> np.ndarray:
        last = self.model.options.channels_last
        form = torch.channels_last if last else torch.preserve_format
        batch = dict(inputs=inputs.contiguous(memory_format=form))
        with torch.inference_mode(), self.model.options.precision(self.model.device):
            samples = self.model.network.val_step(batch)
        scores = torch.stack([sample.pred_score for sample in samples])
        return scores.float().cpu().numpy()
