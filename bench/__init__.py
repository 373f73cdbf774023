"""The benchmark: cycles, clocks and times, measured here and written to ``docs/benchmarks.md``.

    python -m bench --quick     # minutes, into build/bench
    python -m bench             # hours, into docs

Each part measures its cases and keeps them in one JSON file; the document is made of that file
alone. What was measured before, on the same Verilog with the same tools, is not measured again.
"""
