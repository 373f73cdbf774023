"""Sign-off: every claim of the README, the check behind it, and what the check showed.

A *part* is a module of this package, see ``document.PARTS``, with

- ``TITLE``; ``STAGE`` ("V1", "V2" or "V3"); ``PER_CONFIGURATION``: whether each configuration has
  to pass it to reach that stage;
- ``cases(quick)``: list of dict with a "name", and a "configuration" where a case is of one;
- ``measure(case, folder, old, settings)``: a JSON-able record with "failure" (words or None) and,
  where it is of one, "configuration"; runs in a process of its own, in an empty folder;
- ``section(records)``: Markdown; ``claims(records)``: list of ``Claim``.
 Records go to docs/verification.json as soon as they are
there, and docs/verification.md is written from that file alone. Generated Verilog is what is
checked throughout, never the Python that it came from.
"""
