"""Random networks that begin with an RNN, bit for bit and cycle for cycle."""

import pytest
from random_cores import COUNT, prove


@pytest.mark.parametrize("index", range(COUNT))
def test_exact(tmp_path, index):
    prove("rnn", index, tmp_path)
