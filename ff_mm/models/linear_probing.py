"""Linear probing: only the head learns."""

from __future__ import annotations

from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@MODELS.register_module()
class LinearProbingClassifier(ImageClassifier):
    """:class:`mmpretrain.models.ImageClassifier` of which only the head trains.

    The first step of LP-FT (Kumar et al. 2022): a head fitted to the pretrained
    features before anything of the network moves. The state dict has the keys of the
    plain classifier. Freezing happens on construction, before a distributed wrapper
    could register gradients, and for any backbone, also those without
    ``frozen_stages``; no gradient is propagated into the frozen part.

    While training, dropout and drop-path of the frozen part are off.

    Args:
        norm_eval (bool): Whether batch-norm layers of the frozen part keep their
            running statistics. False, as in the authors' code: they see the new data
            and their statistics follow it.
        **kwargs: Those of the plain classifier.
    """

    def __init__(
        self, *args: object, norm_eval: bool = False, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)
        self.norm_eval = norm_eval
        for part in self._frozen():
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> LinearProbingClassifier:
        """Sets the mode of the head, and of frozen batch-norm layers as asked."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
            for module in part.modules():
                if isinstance(module, _BatchNorm):
                    module.train(mode and not self.norm_eval)
        return self

    def _frozen(self) -> list[nn.Module]:
        parts = (self.backbone, self.neck)
        return [part for part in parts if part is not None]
