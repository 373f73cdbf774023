"""Random networks that begin with a reset-before GRU, bit for bit and cycle for cycle."""

import pytest
from random_cores import COUNT, prove


@pytest.mark.parametrize("index", range(COUNT))
def test_exact(tmp_path, index):
    prove("gru_reset_before", index, tmp_path)
