"""Data loaders that lose no time at the edges of an epoch."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import get_dist_info
from torch import Tensor
from torch.utils.data import DataLoader

# Options that decide how batches come about, and not what is in them.
_OF_LOADING = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')


class EarlyLoader(DataLoader):
    """A data loader whose workers may begin before anybody wants a batch.

    Only for workers that persist. Never built: see :meth:`take`.
    """

    _begun = False

    @classmethod
    def take(cls, loader: DataLoader) -> EarlyLoader | None:
        """Makes a plain data loader one of this class; None: its workers may not.

        Args:
            loader: Made by MMEngine, which asks for no class.
        """
        if type(loader) is not DataLoader or not loader.num_workers:
            return None
        if not loader.persistent_workers:
            return None
        loader.__class__ = cls
        assert isinstance(loader, cls)
        return loader

    def begin(self) -> None:
        """Has the workers load the first batches of what is iterated over next."""
        super().__iter__()
        self._begun = True

    def stop(self) -> None:
        """Ends workers that have begun with what nobody is going to want."""
        if self._begun:
            self._begun, self._iterator = False, None

    def __iter__(self) -> Any:
        begun, self._begun = self._begun, False
        if begun and self._iterator is not None:  # nobody has ended the workers since
            return self._iterator
        return super().__iter__()


class KeepingLoader(DataLoader):
    """A data loader that gives the same batches again and again, from memory.

    They are kept when all of them are given for the first time, for all data loaders of
    this process whose configs are the same but for how they load: the runs of a plan
    validate on the same images. Never built: see :meth:`take`.
    """

    _key: str | None
    _memory: int

    @classmethod
    def take(
        cls, loader: DataLoader, config: Mapping[str, Any], memory: int
    ) -> KeepingLoader | None:
        """Makes a plain data loader one of this class; None: it gives no fixed batches.

        Args:
            loader: Made by MMEngine, which asks for no class.
            config: From which it was made.
            memory: Bytes that all batches may take that this process keeps. Where they
                would take more, they are loaded anew.
        """
        if type(loader) is not DataLoader or getattr(loader.sampler, 'shuffle', False):
            return None
        loader.__class__ = cls
        assert isinstance(loader, cls)
        loader._key, loader._memory = _key(config), memory
        return loader

    def __iter__(self) -> Any:
        kept = None if self._key is None else _kept.get(self._key)
        return self._load() if kept is None else map(copy.copy, kept)

    def _load(self) -> Iterator[Any]:
        batches: list[Any] = []
        nbytes = 0
        keeps = self._key is not None
        for batch in super().__iter__():
            nbytes += _nbytes(batch)
            # By the first one it is known whether all of them have room.
            expected = max(nbytes, _nbytes(batch) * (len(self) - len(batches)))
            keeps = keeps and expected <= self._memory
            if keeps:
                batches.append(_own(batch))
            else:
                batches.clear()
            yield batch
        if keeps and self._key is not None:
            _keep(self._key, batches, self._memory)
            self._iterator = None  # its workers have nothing more to do


_kept: OrderedDict[str, list[Any]] = OrderedDict()


def forget_batches() -> None:
    """Gives the memory of all kept batches free; they are loaded anew."""
    _kept.clear()


def _keep(key: str, batches: list[Any], memory: int) -> None:
    _kept[key] = batches
    while sum(_nbytes(batch) for each in _kept.values() for batch in each) > memory:
        _kept.popitem(last=False)


def _key(config: Mapping[str, Any]) -> str | None:
    """What batches depend on; None if that cannot be compared."""
    shown = {key: value for key, value in config.items() if key not in _OF_LOADING}
    try:
        return json.dumps([shown, *get_dist_info()], sort_keys=True)
    except (TypeError, ValueError):
        return None


def _nbytes(batch: Any) -> int:
    """Bytes of a batch's images, or whatever it has of tensors at its top."""
    if isinstance(batch, Tensor):
        return batch.nbytes
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return sum(_nbytes(item) for item in batch)
    return 0


def _own(batch: Any) -> Any:
    """A copy in memory of this process, not in what it shares with a data worker.

    What lies in pinned memory is there already, and stays pinned.
    """
    values = batch.values() if isinstance(batch, Mapping) else ()
    pinned = {id(v): v for v in values if isinstance(v, Tensor) and v.is_pinned()}
    return copy.deepcopy(batch, pinned)
