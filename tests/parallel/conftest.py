"""Teams of real processes."""

import many_processes
import pytest


@pytest.fixture
def in_team():
    """``in_team(size, work, *args)`` runs ``work(team, *args)`` in processes."""
    return many_processes.in_team
