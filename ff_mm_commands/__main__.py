"""``python -m ff_mm_commands train ...`` is ``ff-mm train ...``."""

from ff_mm_commands import main

if __name__ == '__main__':
    main()
