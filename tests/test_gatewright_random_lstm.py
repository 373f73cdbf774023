"""Random networks that begin with an LSTM, bit for bit and cycle for cycle."""

import pytest
from random_cores import COUNT, prove


@pytest.mark.parametrize("index", range(COUNT))
def test_exact(tmp_path, index):
    prove("lstm", index, tmp_path)
