"""The arithmetic contract and its golden model: formats, networks, tables, NumPy integers.

Nothing here knows lanes, passes or cycles. ``hw`` imports the contract (``fixed``, ``cells``,
``functions``, ``network``, ``tables``, ``curves``) and never the arithmetic in ``model``; the two
meet only in a simulation.
"""
