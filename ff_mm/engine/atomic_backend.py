"""A storage backend for MMEngine whose files are complete or not there at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ff_mm.files import atomic_write


@register_backend('atomic', force=True)
class AtomicBackend(LocalBackend):
    """:class:`LocalBackend` that writes beside the target, syncs, and renames.

    A process killed, or a machine switched off, in the middle of a write leaves the
    old file or the new one, never half of it. Any MMEngine component that takes
    ``backend_args`` can use it: ``checkpoint=dict(type='CheckpointHook',
    backend_args=dict(backend='atomic'))``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes.

        Args:
            obj: The content; a ``memoryview`` will do as well.
            filepath: The target; missing folders are made.
        """
        with atomic_write(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Writes text, see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)
