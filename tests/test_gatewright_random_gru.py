"""Random networks that begin with a GRU, bit for bit and cycle for cycle."""

import pytest
from random_cores import COUNT, prove


@pytest.mark.parametrize("index", range(COUNT))
def test_exact(tmp_path, index):
    prove("gru", index, tmp_path)
