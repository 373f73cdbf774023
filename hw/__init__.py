"""The engine in Amaranth, and the compiler that lays a network out for it.

``hw`` takes formats, networks and tables from ``golden`` and nothing else: its arithmetic is its
own, so that equality in simulation means something.
"""
